"""Absorption in planted hierarchies, whose rate can be counted, and by a computation of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_absorption.absorption import Absorption
from interp_absorption.counting import Direction, absorbing, counts, direction_of
from interp_absorption.main_concepts import MainConcepts, as_long_as_it_rises, two_sides
from interp_concept_detection.labelled import halves
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError
from interp_core.testing import PlantedSpace, contract_tests, dictionary_world, untidy_rows
from interp_core.testing._planted_worlds import on_disk
from interp_linear_probe.classifier import Line
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import one_hot

test_contract = contract_tests("absorption")

PARENTS, CHILDREN = 3, 10


def hierarchy(
    seed: int = 0, rows: int = 4000, children: int = CHILDREN, share: float = 0.02
) -> tuple[Activations, PlantedSpace, Bool[Tensor, "n p"]]:
    """Rows of three parents, each active in three of ten rows, alone or with one of its children, each of which comes
    with a share of its parent's rows and never without it. Directions are orthonormal; the labels are the parents.

    Returns:
        The activations, the planted space with the parents first, and whether a child of each parent is active.
    """
    g = torch.Generator().manual_seed(seed)
    width = PARENTS * (1 + children)
    dictionary = torch.linalg.qr(torch.randn(width + 5, width, generator=g)).Q.T.contiguous()
    having = torch.rand(rows, PARENTS, generator=g) < 0.3
    which = (torch.rand(rows, PARENTS, generator=g) / share).long().clamp(max=children)
    child = one_hot(which, children + 1)[..., :children].bool() & having[..., None]
    active = torch.cat([having, child.flatten(1)], 1)
    codes = active * (0.8 + 0.4 * torch.rand(active.shape, generator=g))
    noise = 0.01 * torch.randn(rows, width + 5, generator=g)
    held = of_rows(codes @ dictionary + noise, labels=having, class_names=("tree", "bird", "fish"))
    return held, PlantedSpace(dictionary, torch.zeros(width + 5)), child.any(2)


class AbsorbedSpace(ConceptSpace):
    """A parent is silent where a child of it is active, whose direction holds `share` of the parent's."""

    def __init__(self, planted: PlantedSpace, share: float = 1.0) -> None:
        true = planted.dictionary
        children = (len(true) - PARENTS) // PARENTS
        super().__init__(
            torch.cat([true[:PARENTS], true[PARENTS:] + share * true[:PARENTS].repeat_interleave(children, 0)])
        )
        self.planted, self.children = planted, children

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        codes = self.planted.encode(values)
        child = (codes[:, PARENTS:] > 0).unflatten(1, (PARENTS, self.children)).any(2)
        return torch.cat([codes[:, :PARENTS] * ~child, codes[:, PARENTS:]], 1)


class Rectified(ConceptSpace):
    """Codes are the positive parts of projections."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return (values @ self.dictionary.T).relu()


def test_true_directions_are_not_absorbed() -> None:
    held, planted, _ = hierarchy()
    score = interp.measure(planted, held, by="absorption")
    assert score.value == 0 and score.values.tolist() == [0, 0, 0] and score.higher_is_better is False
    rows = held.labels.sum(0).tolist()
    assert score.notes == tuple(
        f"{name}: main concept {i} (F1 1.000); of {rows[i]} rows told 0 silent, 0 absorbed."
        for i, name in enumerate(held.class_names)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_children_hold_their_parent_the_rate_is_their_share_of_its_rows(seed: int) -> None:
    held, planted, child = hierarchy(seed)
    expected = child.sum(0) / held.labels.sum(0)
    score = interp.measure(AbsorbedSpace(planted), held, by="absorption")
    assert torch.allclose(score.values, expected.float()) and score.value == pytest.approx(float(expected.mean()))
    assert 0.15 < score.value < 0.25
    count, rows = int(child[:, 0].sum()), int(held.labels[:, 0].sum())
    assert f"of {rows} rows told {count} silent, {count} absorbed by concept " in score.notes[0]


def test_the_notes_name_the_children_that_absorb_most() -> None:
    """Children of the first parent are concepts 3 to 12."""
    held, planted, _ = hierarchy(children=2, share=0.08)
    score = Absorption(gain=0.2).measure(AbsorbedSpace(planted), held)
    often = (planted.encode(held.matrix())[:, 3:5] > 0).sum(0)
    order = often.argsort(descending=True).tolist()
    assert score.notes[0].endswith(f"absorbed by {', '.join(f'concept {3 + i} ({often[i]})' for i in order)}.")


@pytest.mark.parametrize(("share", "absorbed"), [(1.0, True), (0.6, True), (0.2, False), (0.0, False)])
def test_a_child_that_holds_little_of_its_parent_leaves_it_silent_but_not_absorbed(
    share: float, absorbed: bool
) -> None:
    held, planted, child = hierarchy()
    score = Absorption().measure(AbsorbedSpace(planted, share), held)
    assert score.value == pytest.approx(float((child.sum(0) / held.labels.sum(0)).mean()) if absorbed else 0)
    assert f"told {int(child[:, 0].sum())} silent" in score.notes[0]
    assert Absorption(margin=0.1).measure(AbsorbedSpace(planted, 0.2), held).value > 0.1


def test_a_label_that_is_split_between_few_concepts_is_not_absorbed() -> None:
    """Each child has a quarter of its parent's rows, so its concept is one of the main ones; unless one is enough."""
    held, planted, child = hierarchy(children=2, share=0.25)
    score = Absorption().measure(AbsorbedSpace(planted), held)
    assert score.value == 0 and "main concept 0, concept " in score.notes[0] and "F1 1.000" in score.notes[0]
    alone = Absorption(k=1).measure(AbsorbedSpace(planted), held)
    assert alone.value == pytest.approx(float((child.sum(0) / held.labels.sum(0)).mean()))
    assert Absorption(gain=1.0).measure(AbsorbedSpace(planted), held).value == alone.value


def test_scale_offset_order_and_sign_do_not_matter() -> None:
    held, planted, _ = hierarchy(rows=2000)
    absorbed = AbsorbedSpace(planted)
    order = torch.randperm(absorbed.concepts, generator=torch.Generator().manual_seed(3))
    scale = 100.0 * (1 - 2 * (torch.arange(absorbed.concepts) % 2))

    class Same(ConceptSpace):
        def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
            return absorbed.encode(values / 8 - 4)[:, order] * scale

    moved = dataclasses.replace(held, values=8 * (held.matrix() + 4))
    one = Absorption().measure(absorbed, held)
    other = Absorption().measure(Same(8 * absorbed.dictionary[order] / scale[:, None]), moved)
    assert torch.allclose(one.values, other.values) and one.value > 0.1
    place = int((order == 0).nonzero())
    assert f"main concept {place}{' below 0' * (place % 2)} (F1" in other.notes[0]


def by_hand(space: ConceptSpace, held: Activations, metric: Absorption) -> list[float]:
    """The rates, row by row, for k = 2."""
    first, member = halves(held, metric.seed).first, held.labels.numpy()
    x, codes = held.matrix().double().numpy(), space.encode(held.matrix()).double().numpy()
    dictionary = space.dictionary.double().numpy()
    rates = []
    for having in member.T:
        rows = absorbed = 0
        for seen in (first, ~first):
            size = np.median(x[seen].std(0)) * x.shape[1] ** 0.5
            probe = LogisticRegression(class_weight="balanced").fit((x[seen] - x[seen].mean(0)) / size, having[seen])
            said, w = probe.decision_function((x - x[seen].mean(0)) / size), probe.coef_[0] / size
            positive = {(c, s): np.maximum(s * codes[:, c], 0) for s in (1, -1) for c in range(space.concepts)}
            rise = {side: v[seen & having].mean() - v[seen & ~having].mean() for side, v in positive.items()}
            one, two = sorted(rise, key=lambda side: -rise[side])[:2]
            f1 = []
            for sides in ([one], [one, two]):
                z = np.stack([positive[side] for side in sides], 1)
                peer = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
                f1.append(f1_score(having[seen], peer.fit(z[seen], having[seen]).predict(z[seen])))
            main = [one, two] if f1[1] - f1[0] > metric.gain else [one]
            apart = said[seen & having].mean() - said[seen & ~having].mean()
            for row in np.flatnonzero(~seen & having & (said > 0)):
                rows += 1
                if any(positive[side][row] > metric.threshold for side in main):
                    continue
                active = np.where(np.abs(codes[row]) > metric.threshold, codes[row], 0)
                adds = active * (dictionary @ w) / apart
                best = int(adds.argmax())
                direction = np.sign(active[best]) * dictionary[best]
                cosine = direction @ w / np.linalg.norm(direction) / np.linalg.norm(w)
                rest = max(0.0, np.delete(adds, best).max())
                absorbed += adds[best] - rest >= metric.margin and cosine >= metric.cosine
        rates.append(absorbed / rows)
    return rates


@pytest.mark.parametrize("threshold", [0.0, 0.2])
@pytest.mark.parametrize("signed", [False, True])
def test_the_rate_is_that_of_a_count_row_by_row(signed: bool, threshold: float) -> None:
    """Noise makes concepts active by mistake. Codes of either sign are those of the absorbing directions, read without
    error: of a parent with a child there are 1 - 1, and noise.
    """
    held, planted, _ = hierarchy(rows=600, children=3, share=0.1)
    noise = 0.2 * torch.randn(held.matrix().shape, generator=torch.Generator().manual_seed(5))
    held = dataclasses.replace(held, values=held.matrix() + noise)
    space: ConceptSpace = AbsorbedSpace(planted)
    if signed:
        space = AffineSpace(space.dictionary, torch.linalg.pinv(space.dictionary).T)
    metric = Absorption(k=2, gain=0.02, threshold=threshold)
    expected = by_hand(space, held, metric)
    assert metric.measure(space, held).values.tolist() == pytest.approx(expected, abs=1e-6) and max(expected) > 0.05
    for other in (dataclasses.replace(metric, cosine=0.8), dataclasses.replace(metric, margin=0.9)):
        expected = by_hand(space, held, other)
        assert other.measure(space, held).values.tolist() == pytest.approx(expected, abs=1e-6)


def test_what_stands_in_adds_most_by_a_margin_and_points_along_the_probe() -> None:
    direction = Direction(torch.tensor([1.0, 1.0, -1.0, 2.0]).double(), torch.tensor([0.5, 0.5, -0.5, 0.01]).double())
    codes = torch.tensor(
        [
            [1.0, 0.0, 0.0, 0.0],  # one alone
            [1.0, 0.7, 0.0, 0.0],  # two that are less than 0.4 apart
            [0.3, 0.0, 0.0, 0.0],  # too little
            [0.0, 0.0, -1.0, 0.0],  # its negative points along the probe
            [0.0, 0.0, 1.0, 0.0],  # against it
            [0.0, 0.0, 0.0, 1.0],  # adds most but is at a right angle
            [0.0, 0.0, 0.0, 0.0],
            [1.0, -2.0, 0.0, 0.0],  # what takes away does not count
        ]
    ).double()
    found = absorbing(codes, direction, cosine=0.025, margin=0.4)
    assert found.tolist() == [0, -1, -1, 4 + 2, -1, -1, -1, 0]
    alone = Direction(direction.adds[:1], direction.cosine[:1])
    assert absorbing(codes[:3, :1], alone, cosine=0.0, margin=0.4).tolist() == [0, 0, -1]


def test_directions_are_measured_in_distances_of_mean_rows() -> None:
    space = AffineSpace(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.eye(2))
    found = direction_of(space, Line(np.array([2.0, 0.0]), 1.0, settled=True), 3.0)
    assert found.adds.tolist() == [2, 0] and found.cosine.tolist() == pytest.approx([0.6, 0])
    assert direction_of(space, Line(np.zeros(2), 0.0, settled=True), 0.0).adds.tolist() == [0, 0]


def test_concepts_are_added_as_long_as_the_score_rises() -> None:
    assert as_long_as_it_rises(iter([0.5, 0.6, 0.62, 0.9]), 0.03) == (2, 0.6)
    assert as_long_as_it_rises(iter([0.5, 0.6, 0.7]), 0.03) == (3, 0.7)
    assert as_long_as_it_rises(iter([0.5]), 0.0) == (1, 0.5)
    assert two_sides(torch.tensor([[2.0, -3.0]])).tolist() == [[2, 0, 0, 3]]


def test_the_margin_does_not_depend_on_the_ridge() -> None:
    held, planted, child = hierarchy()
    expected = float((child.sum(0) / held.labels.sum(0)).mean())
    for ridge in (0.01, 100.0):
        assert Absorption(ridge=ridge).measure(AbsorbedSpace(planted), held).value == pytest.approx(expected, abs=0.01)


def test_constant_and_dead_codes_are_absorbed_by_nothing() -> None:
    held, planted, _ = hierarchy(rows=400)
    for bias in (0.0, 3.0):
        silent = AffineSpace(planted.dictionary, torch.zeros_like(planted.dictionary), bias=torch.full((33,), bias))
        score = Absorption().measure(silent, held)
        assert score.value == 0 and "0 absorbed" in score.notes[0]


def test_giant_and_dead_dimensions_leave_the_rate_as_it_is() -> None:
    """Dimensions that say nothing about labels, a hundred times larger or constant, beside the hierarchy."""
    held, planted, child = hierarchy()
    g = torch.Generator().manual_seed(0)
    more = torch.cat([100 * torch.randn(4000, 2, generator=g), torch.full((4000, 2), 5.0)], 1)
    wide = of_rows(torch.cat([held.matrix(), more], 1), labels=held.labels)
    absorbed = AbsorbedSpace(planted)

    class Wide(ConceptSpace):
        def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
            return absorbed.encode(values[:, :-4])

    score = Absorption().measure(Wide(torch.nn.functional.pad(absorbed.dictionary, (0, 4))), wide)
    assert score.value == pytest.approx(float((child.sum(0) / held.labels.sum(0)).mean()), abs=0.01)


def test_untidy_rows_are_measured() -> None:
    held, directions = untidy_rows(rows=400)
    assert 0 <= Absorption().measure(Rectified(directions), held).value <= 1


def test_more_concepts_than_rows_and_one_concept_are_measured() -> None:
    g = torch.Generator().manual_seed(0)
    held, _ = dictionary_world(rows=60)
    for concepts in (1, 300):
        score = interp.measure(Rectified(torch.randn(concepts, 12, generator=g)), held, by="absorption")
        assert 0 <= score.value <= 1


def test_few_rows_of_a_label_are_enough_and_fewer_are_said() -> None:
    held, planted, _ = hierarchy(rows=400)
    rare = torch.zeros(400, 2, dtype=torch.bool)
    rare[held.labels[:, 0].nonzero().flatten()[:4], 0] = True
    rare[7, 1] = True
    labels = torch.cat([held.labels, rare], 1)
    score = Absorption().measure(planted, dataclasses.replace(held, labels=labels, class_names=()))
    assert len(score.values) in (3, 4) and score.notes[-1] == "Left out, with too few texts: class 4."
    assert score.notes[3].startswith("class 3: ")


def test_rows_in_bfloat16_give_about_the_same() -> None:
    held, planted, _ = hierarchy()
    rounded = of_rows(held.matrix().bfloat16(), labels=held.labels)
    one, other = (Absorption().measure(AbsorbedSpace(planted), some).value for some in (held, rounded))
    assert one == pytest.approx(other, abs=0.01)


def test_a_store_on_disk_gives_the_same(tmp_path: Path) -> None:
    held, planted, _ = hierarchy(rows=1000)
    stored = on_disk(held, tmp_path / "store")
    one, other = (Absorption(rows=100).measure(AbsorbedSpace(planted), some) for some in (held, stored))
    assert one.value == other.value and one.notes == other.notes
    assert one.notes[-1] == "Probes were learnt from at most 100 rows of a half, drawn at random."


def test_the_size_of_batches_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    held, planted, _ = hierarchy(rows=1000)
    whole = Absorption().measure(AbsorbedSpace(planted), held)
    monkeypatch.setattr("interp_sparse_probing.contrasts.CODES", 33 * 70)
    parts = Absorption().measure(AbsorbedSpace(planted), held)
    assert parts.value == whole.value and parts.notes == whole.notes


def test_rows_that_are_all_equal_are_refused_since_no_probe_tells_them() -> None:
    held = of_rows(torch.ones(40, 2), labels=(torch.arange(40) % 4 == 0)[:, None])
    with pytest.raises(InputError, match="of none of the labels class 0 is a row told by a linear probe"):
        Absorption().measure(AffineSpace(torch.eye(2), torch.eye(2)), held)


def test_a_probe_that_says_yes_to_all_rows_tells_none() -> None:
    held, planted, _ = hierarchy(rows=200)
    lines = [[Line(np.zeros(38), 1.0, settled=True)] * PARENTS] * 2
    mains = [[MainConcepts(np.array([i]), 1.0) for i in range(PARENTS)]] * 2
    limits = {"threshold": 0.0, "cosine": 0.025, "margin": 0.4}
    assert [one.told for one in counts(planted, held, halves(held, 0), lines, mains, **limits)] == [0, 0, 0]


def test_a_label_that_no_probe_tells_is_left_out_and_said() -> None:
    """Two rows, one in each half, have the second label and are the opposite of each other."""
    held, planted, _ = hierarchy(rows=400)
    dealt = halves(held, 0)
    free = ~held.labels.any(1).numpy()
    x, labels = held.matrix().clone(), torch.cat([held.labels, torch.zeros(400, 1, dtype=torch.bool)], 1)
    for sign in (1.0, -1.0):
        row = int(np.flatnonzero(free & (dealt.first == (sign > 0)))[0])
        x[row, -1], labels[row, 3] = 50 * sign, True
    moved = dataclasses.replace(held, values=x, labels=labels, class_names=())
    seed = next(seed for seed in range(50) if (halves(moved, seed).first[labels[:, 3].numpy()]).sum() == 1)
    score = Absorption(seed=seed).measure(planted, moved)
    assert len(score.values) == 3
    assert score.notes[3].startswith("class 3: left out, since its probe tells none of its rows; main concept")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threshold": -1.0}, r"threshold -1\.0"),
        ({"k": 0}, "k 0"),
        ({"gain": 2.0}, r"gain 2\.0"),
        ({"cosine": 2.0}, r"cosine 2\.0"),
        ({"margin": 0.0}, r"margin 0\.0"),
        ({"ridge": 0.0}, r"ridge 0\.0"),
        ({"rows": 1}, "rows 1"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Absorption(**wrong)  # type: ignore[arg-type]


def test_what_cannot_be_measured_is_refused() -> None:
    space = AffineSpace(torch.eye(2), torch.eye(2))
    with pytest.raises(InputError, match="needs labels"):
        interp.measure(space, of_rows(torch.ones(4, 2)), by="absorption")
    with pytest.raises(InputError, match="none of the labels class 0 can be scored"):
        Absorption().measure(space, of_rows(torch.ones(1, 2), labels=torch.tensor([0])))


def test_neither_rows_nor_random_states_are_touched() -> None:
    held, planted, _ = hierarchy(rows=400)
    before, state, numpy_state = held.matrix().clone(), torch.get_rng_state(), np.random.get_state()[2]
    Absorption(rows=50).measure(planted, held)
    assert torch.equal(held.matrix(), before) and torch.equal(state, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[2] and torch.is_grad_enabled()


@pytest.mark.slow
def test_sparse_autoencoders_absorb_and_nested_ones_less() -> None:
    """Learnt dictionaries lie between the truth and the space made to absorb; nested ones keep general concepts."""
    held, _, child = hierarchy(children=8, share=0.03)
    most = float((child.sum(0) / held.labels.sum(0)).mean())
    learn = {"topk-sae": {"k": 2}, "sae": {"penalty": 0.1}, "matryoshka-sae": {"k": 2}}
    rates = {}
    for by, parameters in learn.items():
        space = interp.fit_concepts(held, by=by, concepts=40, steps=1500, **parameters)
        rates[by] = Absorption().measure(space, held).value
    assert 0.01 < rates["topk-sae"] < most and 0.01 < rates["sae"] < most
    assert rates["matryoshka-sae"] < 0.01


@pytest.mark.slow
def test_emotions_of_a_real_classifier_are_measured(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    """Probes tell nearly all rows; what is absorbed is part of what is silent; a probe's own directions are not."""
    texts, labels = real_texts("emotion")[:800], real_texts("emotion", column="label")[:800]
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(texts, granularity="cls", labels=labels, progress=False)
    space = interp.fit_concepts(held, by="topk-sae", concepts=64, k=4, steps=400)
    score = interp.measure(space, held, by="absorption")
    assert len(score.values) == 6 and 0 <= score.value < 0.5 and score.interval is not None
    told = [int(note.split(" rows told")[0].split()[-1]) for note in score.notes[:6]]
    assert sum(told) > 0.85 * len(texts)
    probes = interp.fit_concepts(held, by="linear-probe", folds=0)
    assert Absorption().measure(probes, held).value < 0.02
