"""Arguments about concepts that are something else than was expected are answered in words, before anything runs."""

from types import SimpleNamespace
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import mean_of, moments, of_rows
from interp_core.concepts import AffineSpace, Change, ConceptModel, ConceptSpace, Importance
from interp_core.concepts._questions import ConceptQuestions
from interp_core.errors import InputError, InterpWarning, LayerError, TargetError, UnsupportedError
from interp_core.model import BatchRunner, ModelRequest, Target, TextModel, readout_of, whole_text
from interp_core.reporting import ClassConcepts
from interp_core.results import MadeBy
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator

pytestmark = pytest.mark.usefixtures("unchecked")

MODEL = tiny_classifier()
SPLIT = MODEL.split(-1)
SPACE = AffineSpace(torch.eye(16), torch.eye(16))
REMOVED = Change(ablate=[0])
ROWS = of_rows(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def held() -> interp.Activations:
    return SPLIT.activations(["so sad", "glad"], granularity="cls", progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Change({0: 2.0}), "a list of concepts"),
        (lambda: Change(ablate={0: 3.0}), "a list of concepts"),
        (lambda: Change(ablate=0), "a list of concepts"),  # type: ignore[arg-type]
        (lambda: Change(scale=[3]), "a number for each concept"),  # type: ignore[arg-type]
        (lambda: Change(add={0: "much"}), "a number for each concept"),  # type: ignore[dict-item]
        (lambda: Change(abalte=[0]), "Did you mean 'ablate'"),  # type: ignore[call-arg]
        (lambda: of_rows(torch.eye(3), ["sun"]), "1 words were given for 3 rows"),
        (lambda: of_rows(torch.eye(3), labels=torch.tensor([0, 1])), "2 labels were given for 3 rows"),
        (lambda: of_rows(torch.eye(3), predictions=torch.tensor([0, 1])), "2 predictions were given for 3 rows"),
        (lambda: of_rows(torch.eye(2), labels=["a", "c"], class_names=["a", "b"]), "the label 'c' is not a class"),
        (lambda: ROWS.select(torch.ones(5, dtype=torch.bool)), "to choose among 6 texts"),
        (lambda: ROWS.select(torch.ones(6)), "one boolean for each was expected"),
        (lambda: ROWS.select([0, 1]), "one boolean for each was expected"),  # type: ignore[arg-type]
        (lambda: moments(of_rows(torch.zeros(0, 3))), "no rows"),
        (lambda: mean_of(of_rows(torch.zeros(0, 3))), "no rows"),
        (lambda: ROWS.membership(by="foo"), "'labels' or 'predictions' was expected"),
        (lambda: ClassConcepts("joy", SPACE, None, None), "an Importance was expected"),  # type: ignore[arg-type]
        (lambda: SPLIT.activations(iter([]), progress=False), "corpus is empty"),
    ],
)
def test_what_means_nothing_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_an_empty_stream_is_refused_and_leaves_no_store(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="corpus is empty"):
        SPLIT.activations((text for text in ()), to=tmp_path / "store", progress=False)


def test_a_change_that_is_a_dictionary_is_answered_with_what_a_change_is(held: interp.Activations) -> None:
    with pytest.raises(InputError, match=r"a Change was expected, such as Change\(ablate"):
        interp.effect(SPLIT, SPACE, held, {"ablate": [0]})  # type: ignore[arg-type]


def test_swapped_arguments_are_named(held: interp.Activations) -> None:
    for call in (
        lambda: interp.importance(SPACE, SPLIT, held),  # type: ignore[arg-type]
        lambda: interp.importance(SPLIT, held, SPACE),  # type: ignore[arg-type]
        lambda: interp.effect(SPLIT, held, SPACE, Change(ablate=[0])),  # type: ignore[arg-type]
        lambda: interp.interpret(held, SPACE),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="was expected for"):
            call()


def test_a_target_that_an_importance_is_not_about_is_named() -> None:
    found = Importance(torch.ones(2, 1, 3), ("joy",), ("a", "b", "c"), MadeBy("occlusion"))
    for unknown in ("unknown", 1, -2, 0.0, True):
        with pytest.raises(InputError, match=r"there is no target .*this importance has 1: joy"):
            found.top(unknown)  # type: ignore[arg-type]
    assert found.top("joy", 1) == found.top(0, 1) == found.top(-1, 1)
    (attribution,) = interp.attribute(MODEL, "so sad", by="occlusion", targets="all", progress=False)
    for unknown in ("LABEL_9", 3, -4, 0.0, True):
        with pytest.raises(InputError, match=r"there is no target .*this attribution has 3: LABEL_0, LABEL_1, LABEL_2"):
            attribution.top(unknown)  # type: ignore[arg-type]
    assert attribution.top("LABEL_2") == attribution.top(2) == attribution.top(-1) != attribution.top(0)


def test_a_text_or_row_that_is_not_among_activations_is_named() -> None:
    held = SPLIT.activations(["so sad", "calm"], granularity="word", progress=False)
    assert held.rows_of(1).tolist() == [2] and held.unit(-1).text == "calm"
    for text in (2, -1):
        with pytest.raises(InputError, match=f"there is no text {text}; .*of 2 texts"):
            held.rows_of(text)
    for row in (3, -4):
        with pytest.raises(InputError, match=f"there is no row {row}; .*have 3"):
            held.unit(row)


@pytest.mark.parametrize("name", ["last", "cls", "mine"])
def test_a_function_of_units_is_not_taken_for_a_granularity_of_its_name(name: str) -> None:
    def first(text: str) -> list[tuple[int, int]]:
        return [(0, 2)]

    first.__name__ = name
    held = SPLIT.activations(["so happy today"], granularity=first, progress=False)
    assert held.granularity == held.made_by.settings["granularity"] == "spans"


@pytest.mark.parametrize("targets", [[[0], [1]], ((0,), (1,)), torch.tensor([[0], [1]])])
def test_targets_of_each_text_are_not_taken_for_targets_of_all(targets: Any) -> None:
    held = SPLIT.activations(["so sad", "calm"], granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="neurons")
    with pytest.raises(TargetError, match="not a list for each"):
        interp.importance(SPLIT, space, held, targets=targets, progress=False)


def test_names_of_classes_may_be_an_array() -> None:
    names = np.array(["x", "y"])
    held = SPLIT.activations(
        ["so sad", "calm"], granularity="cls", labels=["y", "x"], class_names=names, progress=False
    )
    assert held.class_names == ("x", "y") and held.labels.tolist() == [1, 0]


NO_ROWS = [torch.zeros(3, 7), torch.zeros(16), torch.zeros(1, 3, 16), torch.zeros(3, 16).long(), [[0.0] * 16], None]


@pytest.mark.parametrize("rows", NO_ROWS)
def test_what_are_no_rows_is_neither_encoded_nor_decoded(rows: Any) -> None:
    for method in ("semi-nmf", "pca", "kmeans"):
        space = interp.fit_concepts(of_rows(torch.randn(20, 16, generator=torch.Generator())), by=method, concepts=2)
        with pytest.raises(InputError, match=r"encode was given .*\(rows, width 16\)"):
            space.encode(rows)
        with pytest.raises(InputError, match=r"decode was given .*\(rows, concepts \d+\)"):
            space.decode(rows if isinstance(rows, torch.Tensor) and rows.ndim != 2 else torch.zeros(3, 17))


@pytest.mark.parametrize("method", ["semi-nmf", "nmf", "topk-sae", "pca", "linear-probe", "kmeans", "centroid"])
def test_a_row_that_is_not_finite_has_no_codes(method: str) -> None:
    """A zero would say that a concept is not there."""
    rows = torch.rand(40, 16, generator=torch.Generator().manual_seed(0))
    held = of_rows(rows, labels=torch.arange(40) % 3)
    few = {"steps": 3} if method == "topk-sae" else {}
    few |= {"concepts": 3} if method not in ("linear-probe", "centroid") else {}
    space = interp.fit_concepts(held, by=method, **few)
    strange = rows[:3].clone()
    strange[1, 4] = torch.nan
    codes = space.encode(strange)
    assert codes[1].isnan().all() and torch.allclose(codes[[0, 2]], space.encode(rows[[0, 2]]), atol=1e-5)


CONCEPTS = [method.name for method in interp.methods("concepts")]
EMPTY = ROWS.select(torch.zeros(6, dtype=torch.bool)), SPLIT.activations(["so sad"], granularity=lambda _: [])


@pytest.mark.parametrize("empty", EMPTY)
def test_where_there_are_no_rows_nothing_is_learnt_or_said(empty: interp.Activations) -> None:
    """Texts may have no units; a zero would say that concepts do not matter."""
    verbs: list[Any] = [
        lambda: interp.interpret(SPACE, empty, by="top-inputs"),
        *(lambda by=by: interp.fit_concepts(empty, by=by) for by in CONCEPTS),
    ]
    verbs += [lambda by=by: interp.measure(SPACE, empty, by=by) for by in ("mse", "l0", "fid", "uniqueness")]
    if empty.layer != "given":
        verbs += [lambda: interp.importance(SPLIT, SPACE, empty), lambda: interp.effect(SPLIT, SPACE, empty, REMOVED)]
    for verb in verbs:
        with pytest.raises(InputError, match="the activations have no rows"):
            verb()


def test_labels_of_rows_may_be_names() -> None:
    assert of_rows(torch.eye(2), labels=["b", "a"], class_names=["a", "b"]).labels.tolist() == [1, 0]
    assert of_rows(torch.eye(2), labels=[[1, 0], [1, 1]]).labels.tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("method", ["linear-probe", "cav", "mean-difference", "centroid"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.filterwarnings("ignore:The concepts reconstruct")
def test_a_class_that_no_row_has_is_left_out_and_said(method: str, several: bool) -> None:
    """A sample of a corpus with many classes seldom has them all."""
    rows, labels = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), 2 * (torch.arange(40) % 2)
    full = of_rows(rows, labels=labels // 2, class_names=("a", "c"))
    given = torch.nn.functional.one_hot(labels, 4).bool() if several else labels
    with pytest.warns(InterpWarning, match="No row has the label 'b' or 'd'"):
        space = interp.fit_concepts(of_rows(rows, labels=given, class_names=("a", "b", "c", "d")), by=method)
    assert space.names == ["a", "c"] and "'b' or 'd'" in " ".join(space.notes)
    assert torch.equal(space.encode(rows), interp.fit_concepts(full, by=method).encode(rows))


def test_a_removal_that_raises_a_concept_is_said() -> None:
    """The decision of a classifier is below 0 where its class is not; 0 is the boundary, and not its absence."""
    bias = torch.tensor([-100.0] * 5 + [100.0] * 11)
    space = AffineSpace(torch.eye(16), torch.eye(16), torch.zeros(16), bias)
    space.made_by = MadeBy("linear-probe")
    held = SPLIT.activations(["so sad", "glad"] * 5, granularity="cls", progress=False)
    with pytest.warns(InterpWarning, match="concept 0, concept 1, concept 2 and 2 more are below 0"):
        assert len(interp.importance(SPLIT, space, held, progress=False).notes) == 1
    with pytest.warns(InterpWarning, match="the codes of concept 3 are below 0"):
        assert interp.effect(SPLIT, space, held, Change(ablate=[3, 9]), progress=False).notes
    for change in (Change(ablate=[9]), Change(scale={3: 2.0}), Change(ablate=[3], add={3: -100.0})):
        assert interp.effect(SPLIT, space, held, change, progress=False).notes == ()
    few = held.select(torch.arange(10) < 9)
    assert interp.importance(SPLIT, space, few, progress=False).notes == ()
    space.made_by = MadeBy("neurons")
    assert interp.importance(SPLIT, space, held, progress=False).notes == ()


@pytest.mark.parametrize(("mean", "said"), [(-0.54, True), (-0.46, False), (0.0, False), (0.54, False)])
def test_what_is_below_0_as_a_rule_is_half_a_standard_deviation_below(mean: float, said: bool) -> None:
    codes = torch.tensor([1.0, -1.0] * 10) + mean  # of standard deviation 1
    space = AffineSpace(torch.eye(1), torch.eye(1))
    space.made_by = MadeBy("linear-probe")
    sums = torch.stack([codes.sum(), codes.square().sum()])[:, None]
    asked: Any = SimpleNamespace(activations=range(20), space=space, sums=sums)
    assert bool(ConceptQuestions.absence_note(asked, torch.tensor([True]))) is said
    assert ConceptQuestions.absence_note(asked, torch.tensor([False])) == ()


def test_layers_may_stand_in_a_list() -> None:
    assert [s.path for s in MODEL.layers([-1, -2]).splits] == [s.path for s in MODEL.layers(-1, -2).splits]  # type: ignore[arg-type]


def test_a_model_of_concepts_is_refused_when_it_is_made() -> None:
    translator, generator = tiny_translator(), tiny_generator()
    with pytest.raises(UnsupportedError, match="has an encoder and a decoder"):
        ConceptModel(translator.split(0), SPACE)
    with pytest.raises(LayerError, match="granularity 'last'"):
        ConceptModel(generator.split(0), SPACE, over="cls")


def test_scores_of_a_model_without_logits_are_refused_and_never_empty() -> None:
    bare = TextModel(MODEL.model.bert, MODEL.tokenizer)
    encoded = bare.encoder("so sad")
    readout = readout_of((Target("0", 0),), "logit", "single-label")
    with pytest.raises(UnsupportedError, match="gives no logits"):
        BatchRunner(bare).run([ModelRequest(torch.tensor([len(encoded)]), whole_text(encoded), readout)])


class Exploded:
    """Learns directions whose reconstructions are far from the rows."""

    def fit(self, activations: interp.Activations) -> ConceptSpace:
        return AffineSpace(10 * torch.eye(activations.width), torch.eye(activations.width))


def test_a_space_that_is_worse_than_the_mean_says_so() -> None:
    rows = ROWS.matrix()
    missed = (rows - 10 * rows).square().sum() / (rows - rows.mean(0)).square().sum()
    with pytest.warns(InterpWarning, match="worse than the mean"):
        space = interp.fit_concepts(ROWS, by=Exploded())
    assert f"explained variance {1 - float(missed):.3g}" in space.notes[0]
    assert interp.fit_concepts(ROWS, by="pca", concepts=2).notes == ()
