"""LIME recovers what is linear, weighs by closeness to the intact text, pays once for each variant, and says how sure
it is.
"""

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import ask
from interp_core.errors import InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_lime.lime import (
    Lime,
    draw_probability,
    similarity,
    standard_error,
    weighted_ridge,
    with_some_removed,
)
from sklearn.linear_model import Ridge

test_contract = contract_tests("lime")


@pytest.mark.parametrize("units", [3, 12, 40])
def test_a_planted_linear_model_is_recovered(units: int) -> None:
    question, truth = linear_world(1, units, 3)
    assert float((Lime().attribute(question)[0] - truth).abs().max()) < 3e-4  # what the ridge takes off


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
    exact, _ = Lime(samples=32).attribute(question)
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


def test_each_number_of_units_removed_is_drawn_as_often_and_each_unit_too() -> None:
    keep = with_some_removed(30_000, 5, torch.Generator().manual_seed(0))
    sizes = torch.bincount((~keep).sum(1), minlength=6)
    assert int(sizes[0]) == 0
    assert float((sizes[1:] / 30_000 - 1 / 5).abs().max()) < 0.01
    assert float((keep.double().mean(0) - 2 / 5).abs().max()) < 0.01  # the mean of 4, 3, 2, 1 and 0 of five


def test_few_units_cost_each_subset_once() -> None:
    question, _ = linear_world(0, 5, 2)
    Lime(samples=300).attribute(question)
    assert question.rows <= 32


def test_a_unit_that_does_nothing_gets_nothing() -> None:
    question = ask(lambda v: v[:, :2, 0].sum(1, keepdim=True), torch.ones(9, 1))
    scores = Lime(samples=400).attribute(question)[0][0]
    assert torch.allclose(scores[2:], torch.zeros(7, dtype=scores.dtype), atol=1e-4)


@pytest.mark.parametrize(("units", "samples"), [(6, 60), (10, 100)])
def test_the_interval_holds_the_answer_of_all_variants_as_often_as_it_says(units: int, samples: int) -> None:
    question = tangled_world(3, units=units, targets=1)
    truth, none = Lime(samples=2**units).attribute(question)
    runs = [Lime(samples=samples, seed=seed).attribute(question) for seed in range(500)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs])
    assert 0.92 <= float(held.double().mean()) <= 0.98
    assert not none.any()


def test_more_samples_come_ever_closer_to_the_answer_of_all_variants() -> None:
    question = tangled_world(4, units=13, targets=1)
    truth, _ = Lime(samples=2**13).attribute(question)
    scores, error = Lime(samples=2**13 - 1).attribute(question)
    assert float(error.max()) < 0.02
    assert float(((scores - truth) / error).abs().max()) < 4


def test_the_intact_text_counts_as_often_as_any_other_number_of_units_removed() -> None:
    """Where it alone has a score all weights hang on how much it counts: as one draw of many, next to nothing."""
    question = ask(lambda v: v[:, :, 0].prod(1, keepdim=True), torch.ones(11, 1))
    truth, _ = Lime(samples=2**11).attribute(question)
    scores, error = Lime(samples=2**11 - 1).attribute(question)
    assert float(error.max()) < 0.2 * float(truth.min())
    assert float(((scores - truth) / error).abs().max()) < 4


def test_the_error_is_the_sandwich_with_leverages() -> None:
    """With the intercept as a column of its own, and each variant's pull written out."""
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(40, 5, generator=generator) > 0.5
    keep[0] = True
    scores = torch.randn(40, 2, generator=generator).double()
    weight = torch.rand(40, generator=generator).double() + 0.1
    x, w = np.column_stack([np.ones(40), keep.double().numpy()]), weight.numpy()
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    for k in range(2):
        y = scores[:, k].numpy()
        beta = bread @ x.T @ (w * y)
        pulls = [
            w[i] * (bread @ x[i]) * (y[i] - x[i] @ beta) / (1 - w[i] * x[i] @ bread @ x[i])
            for i in range(1, 40)  # the first is fixed
        ]
        expected = np.std(pulls, axis=0, ddof=1)[1:] * 39**0.5
        assert np.allclose(standard_error(keep.double(), scores, weight, 0.0)[k].numpy(), expected)


def test_a_linear_score_leaves_no_error() -> None:
    question, _ = linear_world(1, 12, 2)
    assert float(Lime(samples=100).attribute(question)[1].max()) < 1e-4


@pytest.mark.parametrize("samples", [2, 6, 13])
def test_too_few_variants_to_tell_are_no_certainty(samples: int) -> None:
    scores, error = Lime(samples=samples).attribute(tangled_world(0, units=12))
    assert bool(torch.isfinite(scores).all()) and bool(torch.isinf(error).all())


def test_a_weight_that_hangs_on_one_variant_or_on_none_is_no_certainty() -> None:
    kept = (torch.rand(30, 4, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    scores = torch.randn(30, 1, generator=torch.Generator().manual_seed(1)).double()
    weight = torch.ones(30).double()
    assert bool(torch.isfinite(standard_error(kept, scores, weight, 0.0)).all())
    kept[:, 3] = 1.0
    assert bool(torch.isinf(standard_error(kept, scores, weight, 1e-6)).all())
    kept[7, 3] = 0.0
    assert bool(torch.isinf(standard_error(kept, scores, weight, 0.0)).all())
    assert (
        float(standard_error(kept, scores, weight, 1e-6)[0, 3]) > 0.5
    )  # the ridge alone says what it would be without


def test_it_stops_when_no_error_is_above_the_tolerance() -> None:
    question = tangled_world(5, units=14)
    _, error = Lime(samples=8000, tolerance=0.1).attribute(question)
    assert float(error.max()) <= 0.1
    assert 32 <= question.rows < 4000


def test_fewer_variants_are_drawn_under_a_limit_on_rows() -> None:
    question = tangled_world(3, units=8, targets=1)
    truth, _ = Lime().attribute(question)
    limited = tangled_world(3, units=8, targets=1)
    limited = limited.with_budget(80)
    scores, error = Lime().attribute(limited)
    limited.intact()
    limited.emptied()
    assert 40 < limited.rows <= 80
    assert bool(error.all()) and float(((scores - truth) / error).abs().max()) < 5


def test_classes_and_generated_tokens_have_errors_of_their_own() -> None:
    text = "the old cat was never calm and always cold today"
    classes = interp.attribute(tiny_classifier(), text, by=Lime(samples=100), targets="all", progress=False)[0]
    tokens = interp.attribute(tiny_generator(), text, by=Lime(samples=100), max_new_tokens=2, progress=False)[0]
    for found in (classes, tokens):
        assert found.error is not None and not found.exact
        assert bool(torch.isfinite(found.error).all()) and len(set(found.error.max(1).values.tolist())) > 1


def test_few_units_at_a_layer_are_answered_exactly() -> None:
    (found,) = interp.attribute(tiny_classifier(), "so very happy", by=Lime(), layer=0, progress=False)
    assert found.exact and bool(found.scores.all())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="positive kernel_width"):
        Lime(kernel_width=0)
    with pytest.raises(InputError, match="at least 2"):
        Lime(samples=1)
    with pytest.raises(InputError, match="tolerance"):
        Lime(tolerance=0.0)
