"""Shapley values: the axioms, exactness for few units, and honest errors for many."""

from collections.abc import Callable
from itertools import permutations
from math import log

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_shapley.shapley import Shapley, prefixes

test_contract = contract_tests("shapley", samples=64)


def products(units: int, order: int = 3) -> tuple[Question, torch.Tensor]:
    """Sums of products of a few units, each of which shares what it is worth among them: Shapley's own axioms."""
    generator = torch.Generator().manual_seed(0)
    sets = torch.stack([torch.randperm(units, generator=generator)[:order] for _ in range(3 * units)])
    worth = torch.randn(len(sets), 2, generator=generator)
    truth = torch.zeros(units, 2).index_add_(0, sets.flatten(), (worth / order).repeat_interleave(order, 0)).T
    return ask(lambda v: v[:, sets, 0].prod(dim=-1) @ worth, torch.ones(units, 1)), truth


def over_all_orders(question: Question) -> torch.Tensor:
    """What each unit adds to those before it, by going through all orders."""
    u = len(question.units)
    total, orders = torch.zeros(len(question.targets), u), list(permutations(range(u)))
    for order in orders:
        keep = torch.tensor([[order.index(i) < n for i in range(u)] for n in range(u + 1)])
        total[:, list(order)] += question.masked(keep).diff(dim=0).T
    return total / len(orders)


class Asked:
    """Shapley values that keep their question, so that the test can put it in other ways."""

    def __init__(self, samples: int) -> None:
        self.method = Shapley(samples=samples)

    def attribute(self, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
        self.question = question
        return self.method.attribute(question)


@pytest.mark.parametrize("units", [1, 2, 3, 6])
def test_all_subsets_give_the_mean_over_all_orders(units: int) -> None:
    question = tangled_world(3, units=units)
    scores, error = Shapley(samples=2**units).attribute(question)
    assert torch.allclose(scores.float(), over_all_orders(question), atol=1e-6)
    assert not error.any() and question.rows == 2**units


def test_a_unit_that_does_nothing_gets_nothing_and_twins_get_the_same() -> None:
    question = ask(lambda v: (v[:, 0] * v[:, 1] * v[:, 2] + v[:, 4]) ** 2, torch.tensor([[2.0], [1], [1], [5], [3]]))
    scores, _ = Shapley().attribute(question)
    assert abs(float(scores[0, 3])) < 1e-6
    assert float(scores[0, 1]) == pytest.approx(float(scores[0, 2]))


def test_products_are_shared_equally() -> None:
    question, truth = products(10, order=4)
    scores, _ = Shapley(samples=1024).attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-5)


def test_a_linear_score_needs_no_more_than_two_orders() -> None:
    question, truth = linear_world(2, 30, 3)
    assert torch.allclose(Shapley(samples=2).attribute(question)[0].float(), truth, atol=1e-5)


def test_an_order_and_its_reverse_suffice_for_what_joins_two() -> None:
    """Of two units each comes first once."""
    question, truth = products(20, order=2)
    scores, error = Shapley(samples=80).attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-4) and float(error.max()) < 1e-5


def test_prefixes_are_those_of_the_order() -> None:
    order = torch.tensor([2, 0, 1])  # unit 2 comes first
    keep = prefixes(order.argsort()[None])[0]
    assert keep.int().tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]


def test_nine_words_of_a_real_model_are_explained_as_by_shap(real_model: Callable[[str], interp.TextModel]) -> None:
    import shap

    model, by = real_model("emotion-minilm"), Asked(512)
    text = "i feel so angry and bitter about love today"
    (found,) = interp.attribute(model, text, by=by, targets="anger", progress=False)

    def score(rows: np.ndarray) -> np.ndarray:
        return by.question.masked(torch.from_numpy(rows > 0.5))[:, 0].numpy()

    none, everything = np.zeros((1, 9)), np.ones((1, 9))
    theirs = shap.KernelExplainer(score, none).shap_values(everything, nsamples=512, l1_reg=False, silent=True)
    assert found.exact and found.rows == 512
    assert np.allclose(found.scores[0], theirs[0], atol=1e-4)
    assert abs(float(found.scores.sum()) - float(score(everything)[0] - score(none)[0])) < 1e-4
    assert [found.words[i] for i in found.scores[0].argsort(descending=True)[:2]] == ["angry", "bitter"]


def test_captum_finds_the_same_on_a_small_function() -> None:
    from captum.attr import ShapleyValues

    question = tangled_world(1, units=5, targets=1)
    which = torch.arange(5)[None, :, None].repeat(1, 1, 2)
    theirs = ShapleyValues(lambda v: question.at(v)[:, 0]).attribute(
        question.x[None], baselines=question.baseline[None], feature_mask=which
    )
    assert torch.allclose(Shapley().attribute(question)[0][0].float(), theirs[0, :, 0], atol=1e-5)


@pytest.mark.parametrize("samples", [2, 100, 500])
def test_sampled_scores_add_up_and_cost_what_was_allowed(samples: int) -> None:
    question = tangled_world(2, units=12)
    scores, error = Shapley(samples=samples).attribute(question)
    assert torch.allclose(scores.sum(1), (question.intact() - question.emptied()).double(), atol=1e-6)
    assert question.rows <= max(samples, 2 + 2 * 22) and bool((error > 0).all() and error.isfinite().all())


def test_the_error_falls_with_the_root_of_the_samples() -> None:
    question, truth = products(15)
    budgets, misses = (300, 3000), []
    for samples in budgets:
        found = [Shapley(samples=samples, seed=seed).attribute(question)[0] for seed in range(20)]
        misses.append(float((torch.stack(found) - truth).square().mean().sqrt()))
    slope = log(misses[1] / misses[0]) / log(budgets[1] / budgets[0])
    assert -0.6 < slope < -0.4


def test_two_standard_errors_hold_the_truth_in_95_of_100_runs() -> None:
    question, truth = products(8)
    runs = [Shapley(samples=254, seed=seed).attribute(question) for seed in range(500)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs]).double().mean()
    assert 0.92 <= float(held) <= 0.98


def test_reverses_are_better_than_as_many_other_orders() -> None:
    """Plain orders, by the same number of them."""
    question, truth = tangled_world(4, units=8), Shapley(samples=256).attribute(tangled_world(4, units=8))[0]
    with_reverse, plain = [], []
    for seed in range(30):
        with_reverse.append(Shapley(samples=254, seed=seed).attribute(question)[0])
        place = torch.rand(36, 8, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
        steps = question.masked(prefixes(place).flatten(0, 1)).unflatten(0, (36, 9)).diff(dim=1)
        plain.append(steps.gather(1, place[:, :, None].expand_as(steps)).mean(0).T)
    miss = [float((torch.stack(found) - truth).square().mean()) for found in (with_reverse, plain)]
    assert miss[0] < miss[1] / 2


def test_a_tolerance_stops_as_soon_as_it_is_met() -> None:
    question, truth = products(16)
    scores, error = Shapley(samples=30_000, tolerance=0.2).attribute(question)
    assert float(error.max()) <= 0.2 and question.rows < 10_000
    assert float(((scores - truth).abs() / error).max()) < 5


def test_the_cap_on_rows_is_kept_and_one_order_with_its_reverse_is_the_least() -> None:
    model, text = tiny_classifier(), "i feel so happy and calm but not good"
    (found,) = interp.attribute(model, text, by=Shapley(), max_rows=60, progress=False)
    (whole,) = interp.attribute(model, text, by=Shapley(), max_rows=512, progress=False)
    assert found.rows <= 60 and not found.exact and whole.exact
    assert torch.allclose(found.scores.sum(), whole.scores.sum(), atol=1e-4)
    with pytest.raises(BudgetError):
        interp.attribute(model, text, by=Shapley(), max_rows=16, progress=False)


def test_one_unit_needs_the_two_ends_alone() -> None:
    (found,) = interp.attribute(tiny_classifier(), "happy", by=Shapley(), max_rows=2, targets=0, progress=False)
    assert found.exact and found.rows == 2


def test_a_contrast_has_the_difference_of_the_scores_also_when_sampled() -> None:
    model, text = tiny_classifier(), "i feel so very happy and calm today but not so good"
    targets = [0, 1, interp.contrast(0, 1)]
    (found,) = interp.attribute(model, text, by=Shapley(samples=100), targets=targets, progress=False)
    assert torch.allclose(found.scores[2], found.scores[0] - found.scores[1], atol=1e-5)


def test_at_a_layer_the_scores_are_those_of_all_orders() -> None:
    by = Asked(32)
    (found,) = interp.attribute(tiny_classifier(), "i feel so happy today", by=by, layer=0, targets="all")
    assert found.exact and torch.allclose(found.scores, over_all_orders(by.question), atol=1e-5)


@pytest.mark.parametrize("samples", [10, 32])
def test_each_generated_token_is_explained_by_the_units_before_it(samples: int) -> None:
    by = Asked(samples)
    (found,) = interp.attribute(tiny_generator(), "so happy", by=by, targets=" and the cat", progress=False)
    question = by.question
    assert found.applicable.sum(1).tolist() == [2, 3, 4] and question.rows <= 16  # the last unit takes no part
    assert not found.scores[~found.applicable].any() and not found.error[~found.applicable].any()
    assert torch.allclose(found.scores.sum(1), question.intact() - question.emptied(), atol=1e-5)
    if samples == 32:
        assert found.exact and torch.allclose(found.scores, over_all_orders(question), atol=1e-4)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        Shapley(samples=1)
    with pytest.raises(InputError, match="positive standard error"):
        Shapley(tolerance=-1.0)
