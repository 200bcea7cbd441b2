"""TCAV: planted concepts score 1, random labels are found as rarely as the test says, slopes are those of autograd."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_cav.cav import CAV
from interp_cav.dealing import Dealing
from interp_cav.significance import holm, two_sided
from interp_cav.slopes import class_slopes
from interp_cav.tcav import TCAV, sensitivity, tcav
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError, InterpWarning
from interp_core.metrics import RandomFit
from interp_core.model import at_rest, tap
from interp_core.results import Cost
from interp_core.testing import contract_tests, state_of, tiny_classifier, tiny_generator
from scipy.stats import ttest_ind
from torch import Tensor

test_contract = contract_tests("tcav", samples=10)

TEXTS = [f"{word} {day}" for word in ("happy", "sad", "calm", "glad") for day in ("today", "and so", "dog", "sun")]


@dataclass(frozen=True)
class Means:
    """The cheapest vector: the mean of the rows with the concept less the mean of those without."""

    def fit(self, activations: Activations) -> ConceptSpace:
        having = activations.membership()[:, 0]
        x = activations.matrix()
        return ConceptSpace((x[having].mean(0) - x[~having].mean(0))[None])


def world(seed: int, texts: int = 120, width: int = 6) -> tuple[Activations, dict[str, Tensor]]:
    """Rows in which the first dimension is a concept and labels besides that mean nothing; slopes of two classes: one
    linear in the concept, one that turns with its input.
    """
    g = torch.Generator().manual_seed(seed)
    concept = torch.arange(texts) % 2 == 0
    x = torch.randn(texts, width, generator=g) + 3 * concept[:, None] * torch.eye(width)[0]
    labels = torch.stack([concept, *(torch.rand(3, texts, generator=g) < 0.4)], 1)
    linear = torch.eye(width)[0].repeat(30, 1)
    return of_rows(x, labels=labels), {"linear": linear, "bent": torch.randn(30, width, generator=g)}


def test_a_planted_linear_concept_scores_one_and_is_found() -> None:
    activations, slopes = world(0)
    found = sensitivity(slopes, activations, CAV(), Dealing(samples=25))
    assert float(found.scores[0, 0]) == 1.0 and float(found.p[0, 0]) < 0.01
    against = sensitivity({"linear": -slopes["linear"]}, activations, Means(), Dealing(samples=25))
    assert float(against.scores[0, 0]) == 0.0 and float(against.p[0, 0]) < 0.01


def test_random_labels_are_significant_in_at_most_5_of_100_runs() -> None:
    """60 runs of two random concepts and two classes, each run a family of tests."""
    dealing, found = Dealing(parts=6, samples=12), []
    for seed in range(60):
        activations, slopes = world(seed)
        meaningless = dataclasses.replace(activations, labels=activations.labels[:, 1:3])
        found.append(sensitivity(slopes, meaningless, Means(), dealing).p.amin())
    rate = float((torch.stack(found) < 0.05).float().mean())
    assert rate <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5, rate


def test_shares_count_inputs_whose_slope_along_the_vector_is_positive() -> None:
    @dataclass(frozen=True)
    class First:
        def fit(self, _activations: Activations) -> ConceptSpace:
            return ConceptSpace(torch.tensor([[1.0, 0.0]]))

    slopes = {"a": torch.tensor([[1.0, -5.0], [-2.0, 9.0], [0.0, 1.0], [3.0, 0.0]]), "b": torch.tensor([[-1.0, 0.0]])}
    held = of_rows(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), labels=torch.arange(8) % 2)
    found = sensitivity(slopes, held, First(), Dealing(parts=4, samples=3))
    assert found.scores.tolist() == [[0.5, 0.5], [0.0, 0.0]] and found.each.shape == (2, 2, 4)
    assert found.random.shape == (2, 2, 3) and bool((found.p == 1).all())


def test_texts_of_a_concept_are_dealt_once_and_random_ones_drawn_in_equal_numbers() -> None:
    """A method that gives the rows it was shown, as a sum of powers of two."""
    shown: list[tuple[list[int], list[int]]] = []

    @dataclass(frozen=True)
    class Watching:
        def fit(self, activations: Activations) -> ConceptSpace:
            having = activations.membership()[:, 0]
            number = activations.matrix()[:, 0].long()
            shown.append((number[having].tolist(), number[~having].tolist()))
            return ConceptSpace(torch.ones(1, 1))

    labels = torch.arange(30) >= 18  # 18 without, 12 with
    two = dataclasses.replace(of_rows(torch.arange(30.0).repeat_interleave(2)[:, None]), labels=labels[:, None])
    of_text = torch.arange(30).repeat_interleave(2)
    two = dataclasses.replace(two, text_of=of_text, texts=two.texts[:30], units=tuple(u * 2 for u in two.units[:30]))
    Dealing(parts=4, samples=5).vectors(two, Watching())
    concept, random = shown[:4], shown[4:]
    inside, outside = ([n for pair in concept for n in pair[i]] for i in (0, 1))
    assert sorted(inside) == sorted([*range(18, 30)] * 2) and len(set(outside)) == 12 and max(outside) < 18
    assert [len(a) for a, _ in shown] == [6] * 9 and [len(b) for _, b in shown] == [6] * 9
    assert not any(set(a) & set(b) for a, b in shown)
    assert (
        len({n for a, _ in random for n in a if n < 18}) > 0 and len({n for _, b in random for n in b if n >= 18}) > 0
    )


def test_fewer_texts_than_parts_give_fewer_vectors_and_a_note() -> None:
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(20)[:, None] < torch.tensor([10, 3])
    held = of_rows(torch.randn(20, 3, generator=g), labels=labels, class_names=("many", "few"))
    found = sensitivity({"a": torch.ones(2, 3)}, held, Means(), Dealing(samples=5))
    assert found.each.shape == (1, 2, 3)
    assert found.notes == ("There are 3 vectors a concept, not 20: few has too few texts for more.",)


def test_names_that_are_of_other_classes_are_not_those_of_the_concepts() -> None:
    activations, _ = world(0)
    found = Dealing(2, 2).vectors(dataclasses.replace(activations, class_names=("a", "b")), Means())
    assert found.names == ["class 0", "class 1", "class 2", "class 3"]


def test_a_concept_of_one_text_is_left_out_and_said() -> None:
    held = of_rows(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), labels=torch.arange(20).clamp(max=2))
    names = dataclasses.replace(held, class_names=("one", "other", "rest"))
    labels = torch.stack([torch.arange(20) == 0, torch.arange(20) > 9, torch.arange(20) > 18], 1)
    found = sensitivity({"a": torch.ones(2, 3)}, dataclasses.replace(names, labels=labels), Means(), Dealing(parts=4))
    assert found.concepts == ("other",) and found.scores.shape == (1, 1)
    assert found.notes == ("one has too few texts and is left out.", "rest has too few texts and is left out.")


def test_the_seed_decides_which_texts_a_vector_is_learnt_from() -> None:
    activations, _ = world(0)
    one, same, other = (Dealing(4, 3, seed).vectors(activations, Means()) for seed in (0, 0, 1))
    for i in (1, 2):
        assert torch.equal(one[i], same[i]) and not torch.allclose(one[i], other[i])


def test_the_test_is_that_of_scipy() -> None:
    g = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 3, 7, generator=g).double(), torch.rand(2, 3, 30, generator=g).double() + 0.2
    expected = ttest_ind(one.numpy(), other.numpy(), axis=-1).pvalue
    assert np.allclose(two_sided(one, other).numpy(), expected, atol=1e-12)


def test_scores_that_are_all_equal_are_no_evidence() -> None:
    assert float(two_sided(torch.ones(5).double(), torch.ones(9).double())) == 1
    assert float(two_sided(torch.ones(5).double(), torch.zeros(9).double())) == 0


def test_holms_correction_is_that_of_his_example() -> None:
    p = torch.tensor([[0.01, 0.04], [0.03, 0.005]], dtype=torch.float64)
    assert torch.allclose(holm(p), torch.tensor([[0.03, 0.06], [0.06, 0.02]], dtype=torch.float64))
    assert holm(torch.tensor([0.9, 0.8])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("granularity", ["cls", "word"])
@pytest.mark.parametrize("layer", [0, -1])
def test_slopes_are_those_of_autograd(granularity: str, layer: int) -> None:
    model = tiny_classifier()
    split = model.split(layer)
    held = split.activations(TEXTS, granularity=granularity, predictions=True, progress=False)
    unread = granularity == "word" and layer == -1  # above it the head reads the first token alone
    with pytest.warns(InterpWarning, match="Every number is 0") if unread else nullcontext():
        found = class_slopes(split, held, Cost())
    expected: dict[str, list[Tensor]] = {name: [] for name in model.labels}
    for i, text in enumerate(TEXTS):
        encoded = model.encoder(text).with_units([(u.start, u.stop) for u in held.units[i]])
        inside = (split.row_of(encoded, granularity) >= 0).float()[None, :, None]
        shift = torch.zeros(held.width, requires_grad=True)

        def moved(states: Tensor, shift: Tensor = shift, inside: Tensor = inside) -> Tensor:
            return states + inside * shift

        ids = encoded.ids[None]
        with at_rest(model.model), tap(model.model, split.path, replace=moved):
            logits = model.forward(ids, torch.ones_like(ids))["logits"][0]
        best = int(logits.argmax())
        expected[model.labels[best]].append(torch.autograd.grad(logits[best], shift)[0])
    for name, own in found.items():
        assert len(own) == len(expected[name])
        assert not len(own) or torch.allclose(own, torch.stack(expected[name]), atol=1e-5)


def test_rows_that_no_logit_depends_on_are_said() -> None:
    activations, slopes = world(0)
    found = sensitivity({k: 0 * v for k, v in slopes.items()}, activations, Means(), Dealing(parts=4, samples=4))
    assert found.notes[0].startswith("No logit depends on the rows") and not found.scores.any()
    assert not any("No logit" in n for n in sensitivity(slopes, activations, Means(), Dealing(4, 4)).notes)


def labelled(split: interp.SplitModel, **columns: bool) -> Activations:
    given = [i % 2 for i in range(len(TEXTS))]
    held = split.activations(TEXTS, granularity="cls", labels=given, progress=False, **columns)
    return dataclasses.replace(held, class_names=("even", "odd"))


def test_the_table_survives_saving_and_carries_its_provenance(tmp_path: Path) -> None:
    split = tiny_classifier().split(-1)
    found = tcav(split, labelled(split), method=Means(), dealing=Dealing(parts=4, samples=6, seed=3))
    again = TCAV.load(found.save(tmp_path / "tcav.safetensors"))
    for name in ("scores", "p", "each", "random"):
        assert torch.equal(getattr(again, name), getattr(found, name))
    assert again.made_by == found.made_by and again.concepts == ("even", "odd") and str(again) == str(found)
    assert again.notes == found.notes and again.classes == found.classes
    assert repr(found).startswith("TCAV(") and len(repr(found)) <= 200 and json.dumps(found.to_json(), allow_nan=False)
    table = found.to_dataframe()
    assert table.score.tolist() == found.scores.flatten().tolist() and table.p.tolist() == found.p.flatten().tolist()
    assert found.made_by.method == "tcav" and found.made_by.settings["seed"] == 3 and found.made_by.cost.backwards > 0


def test_predictions_are_asked_for_where_the_activations_have_none() -> None:
    split, dealing = tiny_classifier().split(-1), Dealing(parts=4, samples=6)
    without, held = (
        tcav(split, labelled(split, predictions=p), method=Means(), dealing=dealing) for p in (False, True)
    )
    assert torch.equal(without.each, held.each) and without.classes == held.classes


def test_classes_given_to_no_input_are_left_out_and_said() -> None:
    split = tiny_classifier().split(-1)
    held = labelled(split, predictions=True)
    inputs = held.select(held.predictions == held.predictions[0])
    found = tcav(split, held, method=Means(), inputs=inputs, dealing=Dealing(parts=2, samples=4))
    [name] = found.classes
    assert name == split.model.labels[int(held.predictions[0])] and len(found.notes) == 2
    assert found.notes[0].startswith("No input was given the class")


def test_a_line_a_class_has_stars_where_scores_are_not_chance() -> None:
    activations, slopes = world(0)
    lines = str(sensitivity(slopes, activations, Means(), Dealing(samples=25))).splitlines()
    assert lines[0].startswith("linear: class 0 1.00*, class 1 ") and lines[1].startswith("bent: ")


def test_nothing_of_the_model_is_changed_and_what_cannot_be_asked_is_refused() -> None:
    model = tiny_classifier()
    split, before = model.split(-1), state_of(model)
    held = labelled(split)
    tcav(split, held, method=Means(), dealing=Dealing(parts=2, samples=2))
    assert state_of(model) == before
    with pytest.raises(InputError, match="must be the same"):
        tcav(model.split(0), held)
    with pytest.raises(InputError, match="no concept of a, b has 2 texts with it and 2 without"):
        labels = (torch.arange(16) == 3).long()
        tcav(split, dataclasses.replace(held, labels=labels, class_names=("a", "b")), dealing=Dealing(seed=1))
    generator = tiny_generator().split(-1)
    with pytest.raises(InputError, match="is no classifier"):
        tcav(generator, generator.activations(TEXTS, granularity="sample", progress=False))
    with pytest.raises(InputError, match="parts 1, samples 100"):
        Dealing(parts=1)
    with pytest.raises(InputError, match="parts 20, samples 1"):
        Dealing(samples=1)


def test_the_metric_is_the_share_of_pairs_with_a_star() -> None:
    split = tiny_classifier().split(-1)
    held = labelled(split, predictions=True)
    first = held.matrix()[:, 0]
    held = dataclasses.replace(held, labels=(first > first.median()).long())
    space = interp.fit_concepts(held, by="cav", kind="ridge")
    score = interp.measure(space, held, split, by="tcav", parts=8, samples=8)
    found = tcav(split, held, method=CAV(kind="ridge"), dealing=Dealing(parts=8, samples=8))
    assert score.value == pytest.approx(float((found.p < 0.05).float().mean()))
    random = tcav(split, held, method=RandomFit(space.concepts), dealing=Dealing(parts=8, samples=8))
    assert score.chance == pytest.approx(float((random.p < 0.05).float().mean())) and float(random.random.std()) > 0
    assert score.notes[: len(found.classes)] == tuple(str(found).splitlines())


def test_each_vector_is_learnt_with_a_seed_of_its_own() -> None:
    """Random directions, the floor of the metric, differ from one another, those of a concept from random ones."""
    activations, slopes = world(0)
    found = Dealing(parts=4, samples=6).vectors(activations, RandomFit(1, seed=3))
    every = torch.cat([found.concept.flatten(0, 1), found.random.flatten(0, 1)])
    assert len(every) == 40 and len(every.unique(dim=0)) == 40
    assert torch.equal(found.concept[0, 1], RandomFit(1, seed=4).fit(activations).dictionary[0])
    again = sensitivity(slopes, activations, RandomFit(1), Dealing(parts=4, samples=6))
    assert float(again.random.std()) > 0 and torch.equal(
        again.each, sensitivity(slopes, activations, RandomFit(1), Dealing(parts=4, samples=6)).each
    )


def test_random_directions_are_found_to_matter_as_rarely_as_the_test_says() -> None:
    """The floor of the metric: not always without a star, and rarely with one."""
    activations, slopes = world(0)
    dealing = Dealing(parts=6, samples=12)
    lowest = torch.stack(
        [sensitivity(slopes, activations, RandomFit(1, 1000 * s), dealing).p.amin() for s in range(60)]
    )
    assert float((lowest < 0.05).float().mean()) <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5
    assert len(lowest.unique()) > 10 and float(lowest.min()) < 0.3
