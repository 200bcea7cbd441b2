"""Planted features: what was found can be counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import AffineSpace, ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.metrics import measure
from interp_core.metrics._random_baselines import RandomDirections
from interp_core.testing import contract_tests, dictionary_world
from interp_planted.planted import PlantedF1, PlantedMCC, PlantedUniqueness
from jaxtyping import Float
from sklearn.metrics import f1_score
from torch import Tensor

test_mcc_contract = contract_tests("planted-mcc")
test_f1_contract = contract_tests("planted-f1")
test_uniqueness_contract = contract_tests("planted-uniqueness")

METRICS = [PlantedMCC(), PlantedF1(), PlantedUniqueness()]


class Coded(ConceptSpace):
    """A dictionary with given codes: the last of a row's values is the number of its codes."""

    def __init__(self, dictionary: Float[Tensor, "c d"], codes: Float[Tensor, "n c"]) -> None:
        super().__init__(dictionary)
        self.codes = codes

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.codes[values[:, -1].long()]


def value(metric: Any, space: ConceptSpace, truth: ConceptSpace) -> float:
    rows = torch.zeros(4, 3)
    rows[:, -1] = torch.arange(4)
    return measure(space, of_rows(rows), truth, by=metric).value


TRUTH = Coded(torch.eye(3), torch.tensor([[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
ONES = torch.ones(4, 3)
TURN = torch.tensor([[0.0, 0.6, 0.8], [0.0, -0.8, 0.6], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize("metric", METRICS)
def test_the_truth_scores_one(metric: Any) -> None:
    assert value(metric, TRUTH, Coded(TRUTH.dictionary[:2], TRUTH.codes[:, :2])) == pytest.approx(1)


@pytest.mark.parametrize("metric", METRICS)
def test_order_scale_and_sign_do_not_matter(metric: Any) -> None:
    order, scale = [2, 0, 1], torch.tensor([[2.0], [-3.0], [0.5]])
    codes = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [4.0, 0.0, 5.0], [6.0, 7.0, 0.0]])
    same = Coded(scale * torch.eye(3)[order], codes[:, order] / scale.T)
    assert value(metric, same, Coded(torch.eye(3), codes)) == pytest.approx(1)


def test_matched_cosines_are_averaged() -> None:
    """The best match pairs 0.8, 0.8 and 1."""
    assert value(PlantedMCC(), Coded(TURN, ONES), TRUTH) == pytest.approx((0.8 + 0.8 + 1) / 3)


def test_features_that_are_left_over_count_as_zero() -> None:
    assert value(PlantedMCC(), Coded(TURN[2:], ONES[:, :1]), TRUTH) == pytest.approx(1 / 3)
    assert value(PlantedUniqueness(), Coded(TURN[2:], ONES[:, :1]), TRUTH) == pytest.approx(1 / 3)


def test_more_concepts_than_features_cost_nothing() -> None:
    many = torch.cat([torch.eye(3), torch.ones(2, 3)])
    assert value(PlantedMCC(), Coded(many, torch.ones(4, 5)), TRUTH) == pytest.approx(1)
    assert value(PlantedUniqueness(), Coded(many, torch.ones(4, 5)), TRUTH) == pytest.approx(1)


def test_dead_concepts_have_found_nothing() -> None:
    """However well their direction points; one that is only ever negative is not dead."""
    dead = Coded(torch.eye(3), torch.tensor([[1.0, 0.0, -1.0]] * 4))
    assert value(PlantedMCC(), dead, TRUTH) == pytest.approx(2 / 3)
    assert value(PlantedUniqueness(), dead, TRUTH) == pytest.approx(2 / 3)


def test_a_space_of_dead_concepts_has_found_nothing() -> None:
    for metric in METRICS:
        assert value(metric, Coded(torch.eye(3), 0 * ONES), TRUTH) == 0


def test_concepts_that_point_to_one_feature_are_not_unique() -> None:
    """All three are closest to the first axis, in one way or the other."""
    near = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [-0.9, 0.0, 0.4]])
    assert value(PlantedUniqueness(), Coded(near, ONES), TRUTH) == pytest.approx(1 / 3)


def test_f1_is_that_of_scikit_learn_for_each_feature_that_is_ever_active() -> None:
    codes = torch.tensor([[0.5, -1.0, 0.0], [0.0, -2.0, 3.0], [1.0, 1.0, 0.0], [2.0, -0.5, 0.0]])
    space = Coded(torch.diag(torch.tensor([1.0, -1.0, 1.0])), codes)
    active, planted = codes * torch.tensor([1.0, -1.0, 1.0]) > 0, TRUTH.codes > 0
    expected = [f1_score(planted[:, j], active[:, j]) for j in (0, 1)]
    assert value(PlantedF1(), space, TRUTH) == pytest.approx(sum(expected) / 2)
    assert sum(expected) / 2 == pytest.approx((2 / 5 + 2 / 5) / 2)


def test_f1_follows_the_match() -> None:
    swapped = Coded(torch.eye(3)[[1, 0, 2]], TRUTH.codes)
    expected = 2 * 1 / (2 + 2)  # the features share one row, and each is active in two
    assert value(PlantedF1(), swapped, TRUTH) == pytest.approx(expected)


def test_a_feature_that_is_never_active_does_not_count_wherever_its_match_stands() -> None:
    codes = torch.cat([TRUTH.codes[:, :2], torch.ones(4, 1)], dim=1)  # the third is always wrong
    assert value(PlantedF1(), Coded(torch.eye(3)[[1, 2, 0]], codes[:, [1, 2, 0]]), TRUTH) == pytest.approx(1)


def test_a_planted_code_below_zero_is_not_active() -> None:
    assert value(PlantedF1(), TRUTH, Coded(torch.eye(3), TRUTH.codes - 0.5 * (TRUTH.codes == 0))) == pytest.approx(1)


def test_codes_up_to_the_threshold_are_not_active_whatever_their_sign() -> None:
    noisy = Coded(torch.diag(torch.tensor([1.0, -1.0, 1.0])), TRUTH.codes * torch.tensor([1.0, -1.0, 1.0]))
    noisy.codes = noisy.codes + 0.2 * torch.tensor([1.0, -1.0, 1.0]) * (noisy.codes == 0)
    assert value(PlantedF1(), noisy, TRUTH) == pytest.approx(2 * 2 / (2 + 4))
    assert value(PlantedF1(threshold=0.2), noisy, TRUTH) == pytest.approx(1)
    with pytest.raises(InputError, match="threshold -1 is below 0"):
        PlantedF1(threshold=-1)


def test_a_feature_without_a_match_has_an_f1_of_zero() -> None:
    assert value(PlantedF1(), Coded(torch.eye(3)[:1], TRUTH.codes[:, :1]), TRUTH) == pytest.approx(1 / 2)


def test_over_concepts_a_small_dictionary_is_judged_by_what_it_could_find() -> None:
    small = Coded(TURN[1:], ONES[:, :2])
    assert value(PlantedMCC(form="concepts"), small, TRUTH) == pytest.approx((0.8 + 1) / 2)
    assert value(PlantedMCC(), small, TRUTH) == pytest.approx((0.8 + 1) / 3)
    one = Coded(torch.eye(3)[:1], TRUTH.codes[:, :1])
    assert value(PlantedF1(form="concepts"), one, TRUTH) == pytest.approx(1)
    assert value(PlantedF1(), one, TRUTH) == pytest.approx(1 / 2)


def test_over_concepts_dead_ones_count_as_saelens_counts_them() -> None:
    """Its directions are matched all the same; as a classifier of a feature it finds none of its rows."""
    dead = Coded(torch.eye(3), TRUTH.codes * torch.tensor([1.0, 0.0, 1.0]))
    assert value(PlantedMCC(form="concepts"), dead, TRUTH) == pytest.approx(1)
    assert value(PlantedF1(form="concepts"), dead, TRUTH) == pytest.approx(1 / 3)


def test_over_concepts_f1_is_that_of_scikit_learn_with_the_closest_feature() -> None:
    """Both of the first two are closest to the first feature, and one of them reads it the other way round."""
    near = torch.tensor([[1.0, 0.0, 0.0], [-0.9, 0.4, 0.0], [0.0, 1.0, 0.1]])
    codes = torch.tensor([[1.0, -2.0, 0.0], [0.0, -1.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    planted = TRUTH.codes > 0
    expected = [f1_score(planted[:, j], codes[:, i] != 0) for i, j in ((0, 0), (1, 0), (2, 1))]
    assert value(PlantedF1(form="concepts"), Coded(near, codes), TRUTH) == pytest.approx(sum(expected) / 3)


@pytest.mark.parametrize("metric", [PlantedMCC, PlantedF1])
def test_a_mean_over_something_else_is_refused(metric: Any) -> None:
    with pytest.raises(InputError, match="form 'latents'; 'features' or 'concepts' was expected"):
        metric(form="latents")


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, truth = dictionary_world()
    space = RandomDirections.like(truth, activations)
    whole = [metric.measure(space, activations, truth).value for metric in METRICS]
    monkeypatch.setattr("interp_core.activations.Activations.batches", lambda a: iter(a.matrix().split(7)))
    assert [metric.measure(space, activations, truth).value for metric in METRICS] == whole


def test_a_learnt_space_is_close_to_the_truth_and_far_from_the_floor() -> None:
    activations, truth = dictionary_world(seed=5)
    space = fit_concepts(activations, by="semi-nmf", concepts=5)
    mcc, _, unique = (measure(space, activations, truth, by=metric) for metric in METRICS)
    assert mcc.value > 0.99 > 0.8 > mcc.chance and unique.value == 1
    f1 = measure(space, activations, truth, by=PlantedF1(threshold=0.3))
    assert f1.value > 0.99 > 0.8 > f1.chance


def test_the_mean_over_pairs_is_that_of_random_directions_in_closed_form() -> None:
    """One concept, one feature, in many dimensions: the mean |cosine| is about √(2 / πd)."""
    width, found = 400, []
    for seed in range(40):
        one, other = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(seed))
        space, truth = AffineSpace(one, one), AffineSpace(other, other)
        found.append(PlantedMCC().measure(space, of_rows(torch.ones(2, width)), truth).value)
    assert sum(found) / 40 == pytest.approx(math.sqrt(2 / (math.pi * width)), rel=0.35)


def test_a_planted_space_of_another_width_is_refused() -> None:
    with pytest.raises(InputError, match="width 2, the learnt one 3"):
        PlantedMCC().measure(TRUTH, of_rows(torch.zeros(2, 3)), AffineSpace(torch.eye(2), torch.eye(2)))


def test_features_that_are_never_active_are_refused() -> None:
    with pytest.raises(InputError, match="none of 3 planted features is active in any of 4 rows"):
        value(PlantedF1(), TRUTH, Coded(torch.eye(3), 0 * ONES))
