"""LIME recovers what is linear, weighs by closeness to the intact text, and pays for each variant once."""

import numpy as np
import pytest
import torch
from interp_core.errors import InputError
from interp_core.question import FunctionRunner, ask
from interp_core.testing import contract_tests, linear_world, tangled_world
from interp_lime.lime import Lime, draw_probability, similarity, weighted_ridge
from sklearn.linear_model import Ridge

test_contract = contract_tests("lime")


@pytest.mark.parametrize("units", [3, 12, 40])
def test_a_planted_linear_model_is_recovered(units: int) -> None:
    question, truth = linear_world(1, units, 3)
    assert float((Lime().attribute(question) - truth).abs().max()) < 1e-4


def test_the_intact_text_weighs_one_and_the_empty_one_least() -> None:
    keep = torch.arange(11) < torch.arange(11)[:, None]
    keep = torch.cat([keep[:, :10]])
    weights = similarity(keep, 0.25)
    assert float(weights[-1]) == 1.0
    assert bool((weights.diff() > 0).all())


def test_the_regression_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    kept = (torch.rand(60, 7, generator=generator) > 0.5).double()
    scores = torch.randn(60, 2, generator=generator).double()
    weight = torch.rand(60, generator=generator).double()
    share = (weight / weight.sum()).numpy()
    expected = Ridge(alpha=0.3).fit(kept.numpy(), scores.numpy(), sample_weight=share).coef_
    assert np.allclose(weighted_ridge(kept, scores, weight, 0.3).numpy(), expected, atol=1e-8)


def test_all_variants_are_weighted_by_how_often_they_would_be_drawn() -> None:
    """The exact answer for few units is the limit of ever more draws of the same recipe."""
    question = tangled_world(3, units=5)
    exact = Lime(samples=32).attribute(question)
    generator = torch.Generator().manual_seed(1)
    gone = torch.randint(1, 6, (200_000, 1), generator=generator)
    place = torch.rand(200_000, 5, generator=generator).argsort(1).argsort(1)
    keep = torch.cat([torch.ones(40_000, 5, dtype=torch.bool), place >= gone])  # a fifth as many intact ones
    codes = (keep.long() * 2 ** torch.arange(5)).sum(1)
    counts = torch.bincount(codes, minlength=32).double()
    patterns = (torch.arange(32)[:, None] >> torch.arange(5)) % 2 == 1
    weight = counts * similarity(patterns, 0.25)
    sampled = weighted_ridge(patterns.double(), question.masked(patterns).double(), weight, 1e-6)
    assert torch.allclose(exact.float(), sampled.float(), atol=0.02)


def test_draws_of_each_size_are_equally_likely() -> None:
    patterns = (torch.arange(64)[:, None] >> torch.arange(6)) % 2 == 1
    chance = draw_probability(patterns)
    sizes = (~patterns).sum(1)
    totals = [float(chance[sizes == s].sum()) for s in range(7)]
    assert np.allclose(totals, 1.0)


def test_few_units_cost_each_subset_once() -> None:
    question, _ = linear_world(0, 5, 2)
    Lime(samples=300).attribute(question)
    runner = question._runner
    assert isinstance(runner, FunctionRunner) and runner.rows <= 32


def test_a_unit_that_does_nothing_gets_nothing() -> None:
    question = ask(lambda v: v[:, :2, 0].sum(1, keepdim=True), torch.ones(9, 1))
    scores = Lime(samples=400).attribute(question)[0]
    assert torch.allclose(scores[2:], torch.zeros(7, dtype=scores.dtype), atol=1e-4)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="positive kernel_width"):
        Lime(kernel_width=0)
