"""Stability: turned, permuted and halved dictionaries whose cosines are known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import permutations

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.metrics import RandomFit, measure
from interp_core.testing import contract_tests
from interp_ica.ica import ICA
from interp_semi_nmf.semi_nmf import SemiNMF
from interp_stability.matching import cosines, matched
from interp_stability.stability import Stability, alike
from jaxtyping import TypeCheckError
from torch import Tensor

test_contract = contract_tests("stability")

X = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))


def space_of(dictionary: Tensor, bias: float = 0.0) -> AffineSpace:
    """Codes are above zero for positive rows and directions; below for a bias of less than zero."""
    return AffineSpace(dictionary, dictionary.abs(), bias=torch.full((len(dictionary),), bias))


@dataclass(frozen=True)
class Scripted:
    """Gives one dictionary after the other, by its seed, and remembers what it was shown."""

    spaces: tuple[ConceptSpace, ...]
    seed: int = 0
    seen: list[Activations] = field(default_factory=list)

    def fit(self, activations: Activations) -> ConceptSpace:
        self.seen.append(activations)
        assert torch.is_grad_enabled()
        return self.spaces[self.seed]


@dataclass(frozen=True)
class Seedless:
    """Gives the axes."""

    def fit(self, activations: Activations) -> ConceptSpace:
        return space_of(torch.eye(3))


def turned(degrees: float) -> Tensor:
    """The axes, the first two turned."""
    a = math.radians(degrees)
    return torch.tensor([[math.cos(a), math.sin(a), 0.0], [-math.sin(a), math.cos(a), 0.0], [0.0, 0.0, 1.0]])


def value(space: ConceptSpace, again: list[Tensor], **parameters) -> float:
    method = Scripted((space, *(space_of(one) for one in again)))
    return measure(space, of_rows(X), by=Stability(runs=len(again), **parameters), method=method).value


def test_cosines_are_averaged_over_concepts_and_runs() -> None:
    """Turned by 30 degrees two cosines are √3/2 and one is 1; by 10 degrees likewise."""
    one, two = (2 * math.cos(math.radians(degrees)) / 3 + 1 / 3 for degrees in (30, 10))
    found = value(space_of(torch.eye(3)), [turned(30), turned(10)])
    assert found == pytest.approx((one + two) / 2, abs=1e-6)


def test_each_run_has_its_number() -> None:
    space = space_of(torch.eye(3))
    method = Scripted((space, space_of(turned(30)), space))
    score = measure(space, of_rows(X), by=Stability(runs=2), method=method)
    assert torch.allclose(score.values, torch.tensor([math.sqrt(3) / 3 + 1 / 3, 1.0])) and score.value < 1


def test_equal_spaces_are_stable_whatever_their_order_and_scale() -> None:
    dictionary = turned(20)
    assert value(space_of(dictionary), [3 * dictionary[[2, 0, 1]]]) == pytest.approx(1, abs=1e-6)


def test_signs_matter_where_no_code_is_negative() -> None:
    flipped = torch.diag(torch.tensor([1.0, 1.0, -1.0]))
    space, arbitrary = space_of(torch.eye(3)), space_of(torch.eye(3), bias=-0.5)
    assert value(space, [flipped]) == pytest.approx(1 / 3)
    assert value(arbitrary, [flipped]) == pytest.approx(1)
    assert value(space, [flipped], signed=False) == pytest.approx(1)
    assert value(arbitrary, [flipped], signed=True) == pytest.approx(1 / 3)


@pytest.mark.parametrize("bias", [0.0, -0.5])
def test_the_floor_is_measured_by_the_rule_of_the_space(bias: float) -> None:
    """Codes of random directions have either sign; beside a space whose codes have not, theirs count as well."""
    x, space = of_rows(X), space_of(torch.eye(3), bias)
    method = Scripted((space,) * 4)
    chosen = Stability().like(space, x)
    assert chosen == Stability(signed=bias == 0.0) and chosen.like(RandomFit(concepts=2).fit(x), x) == chosen
    found = measure(space, x, by=chosen, method=method)
    assert found.value == measure(space, x, by=Stability(), method=method).value
    assert found.chance == measure(space, x, by=Stability(signed=bias == 0.0), method=method).chance


def test_random_directions_that_are_never_active_below_zero_score_as_the_floor_does() -> None:
    x = of_rows(torch.randn(60, 12, generator=torch.Generator().manual_seed(0)))

    def values(**parameters: bool) -> Tensor:
        found = []
        for seed in range(30):
            method = RandomFit(concepts=6, seed=100 * seed)
            dictionary = method.fit(x).dictionary
            positive = AffineSpace(dictionary, torch.zeros_like(dictionary))
            metric = Stability(**parameters).like(positive, x)
            floor = metric.measure(method.fit(x), x, method)
            found.append([metric.measure(positive, x, method).value, floor.value])
        return torch.tensor(found).mean(0)

    value, floor = values().tolist()
    assert value == pytest.approx(floor, abs=1e-6)
    assert values(signed=False)[1] > floor + 0.05


def test_a_code_of_zero_is_not_negative() -> None:
    space, x = space_of(torch.eye(3)), torch.cat([X, 0 * X[:1]])
    flipped = Scripted((space, space_of(torch.diag(torch.tensor([1.0, 1.0, -1.0])))))
    assert measure(space, of_rows(x), by=Stability(runs=1), method=flipped).value == pytest.approx(1 / 3)


def test_signs_are_decided_from_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_core.activations.Activations.batches", lambda a: iter(a.matrix().split(1)))
    space, x = space_of(torch.eye(3)), torch.cat([X, -X[:1], X])
    flipped = Scripted((space, space_of(-torch.eye(3))))
    assert measure(space, of_rows(x), by=Stability(runs=1), method=flipped).value == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_match_is_the_best_of_all(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    one, other = torch.randn(4, 6, generator=g), torch.randn(4, 6, generator=g)
    cosine = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2)
    best = max(float(sum(cosine[i, j] for i, j in enumerate(order))) for order in permutations(range(4))) / 4
    assert alike(one, other, signed=True) == pytest.approx(best, abs=1e-6)


def test_concepts_that_are_left_over_count_as_zero() -> None:
    assert alike(torch.eye(3), torch.eye(3)[:2], signed=True) == pytest.approx(2 / 3)
    assert alike(torch.eye(3)[:2], torch.eye(3), signed=True) == pytest.approx(2 / 3)


def test_pairs_are_rows_and_columns_of_what_was_given() -> None:
    rows, columns = matched(torch.tensor([[0.0, 0.2, 1.0], [1.0, 0.9, 0.0]]))
    assert rows.tolist() == [0, 1] and columns.tolist() == [2, 0]


def test_a_direction_of_no_length_is_like_nothing() -> None:
    assert cosines(torch.zeros(1, 3), torch.eye(3)).tolist() == [[0.0, 0.0, 0.0]]


def test_halves_are_of_the_texts_and_differ_from_run_to_run() -> None:
    space = space_of(torch.eye(3))
    method = Scripted((space,) * 4)
    measure(space, of_rows(X), by=Stability(halves=True), method=method)
    shown = [frozenset(seen.texts) for seen in method.seen]
    assert [len(seen) for seen in shown] == [20] * 3 and len(set(shown)) == 3
    again = Scripted((space,) * 4)
    measure(space, of_rows(X), by=Stability(halves=True), method=again)
    assert [frozenset(seen.texts) for seen in again.seen] == shown
    other = Scripted((space,) * 4)
    measure(space, of_rows(X), by=Stability(halves=True, seed=1), method=other)
    assert [frozenset(seen.texts) for seen in other.seen] != shown


def test_without_halves_all_rows_are_seen() -> None:
    space = space_of(torch.eye(3))
    method = Scripted((space,) * 4)
    measure(space, of_rows(X), by=Stability(), method=method)
    assert [len(seen) for seen in method.seen] == [40] * 3


def test_a_method_without_a_seed_says_what_to_do() -> None:
    method, space = Seedless(), space_of(torch.eye(3))
    assert "Seedless has no seed" in measure(space, of_rows(X), by=Stability(), method=method).notes[0]
    assert Stability(halves=True).measure(space, of_rows(X), method).notes == ()
    assert Stability().measure(space, of_rows(X), Scripted((space,) * 4)).notes == ()


def test_random_directions_score_far_below_one_and_are_the_floor() -> None:
    x = of_rows(torch.randn(60, 40, generator=torch.Generator().manual_seed(0)))
    space = fit_concepts(x, by=RandomFit(concepts=4))
    score = measure(space, x, by=Stability(), method=RandomFit(concepts=4))
    assert score.value < 0.4 and score.chance == pytest.approx(score.value, abs=0.1)


def test_learnt_spaces_are_found_again() -> None:
    """Sources that ICA gives back up to order and sign, directions that semi-NMF does up to order."""
    g = torch.Generator().manual_seed(0)
    active = torch.empty(1500, 4).exponential_(generator=g) * (torch.rand(1500, 4, generator=g) < 0.3)
    x = of_rows(active @ torch.randn(4, 10, generator=g))
    for method in (ICA(concepts=4), SemiNMF(concepts=4, tolerance=1e-6)):
        score = measure(fit_concepts(x, by=method), x, by=Stability(runs=2, halves=True))
        assert score.value > 0.95 > 0.8 > score.chance


def test_one_text_has_no_halves() -> None:
    space = space_of(torch.eye(3))
    with pytest.raises(InputError, match="1 text has no halves"):
        Stability(halves=True).measure(space, of_rows(X[:1]), Seedless())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="0 runs"):
        Stability(runs=0)
    with pytest.raises((InputError, TypeCheckError), match="'perhaps'"):
        Stability(signed="perhaps")
