"""Shapley values from a Gaussian process: its own closed forms, exact answers, and its errors where they hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.testing import contract_tests, tiny_classifier, tiny_generator
from interp_kernel_shap.kernel_shap import KernelShap
from interp_shapley_gp.process import ALONE, HIGHER, Process, chosen
from interp_shapley_gp.shapley_gp import ShapleyGP

test_contract = contract_tests("shapley-gp", samples=64)

SENTENCE = "i feel so angry and bitter about love today"


def products(units: int, seed: int, alone: float = 1.0, together: float = 0.3) -> tuple[Question, torch.Tensor]:
    """Sums of units and of products of the signs of three, each of which shares what it is worth among them."""
    generator = torch.Generator().manual_seed(seed)
    sets = torch.tensor(list(combinations(range(units), 3)))
    single = alone * torch.randn(units, generator=generator, dtype=torch.float64)
    worth = together * torch.randn(len(sets), generator=generator, dtype=torch.float64) / len(sets) ** 0.5
    truth = single.index_add(0, sets.flatten(), (2 * worth / 3).repeat_interleave(3))

    def score(values: torch.Tensor) -> torch.Tensor:
        kept = values[:, :, 0].double()
        return (kept @ single + (2 * kept - 1)[:, sets].prod(dim=-1) @ worth)[:, None].float()

    return ask(score, torch.ones(units, 1)), truth


def test_covariances_are_those_of_the_sums_that_they_stand_for() -> None:
    units = 5
    process = Process.of(units)
    subsets = torch.tensor(list(product([True, False], repeat=units)))
    signs = 2.0 * subsets.double() - 1
    halves, values = torch.zeros(32, 32, dtype=torch.float64), torch.zeros(32, units, dtype=torch.float64)
    variance = torch.zeros(units, dtype=torch.float64)
    for order, weight in ((1, ALONE), (3, 1.0), (5, HIGHER)):
        sets = list(combinations(range(units), order))
        for members in sets:
            term = signs[:, list(members)].prod(dim=1)
            halves += weight / len(sets) * torch.outer(term, term)
            values[:, list(members)] += weight / len(sets) * 2 / order * term[:, None]
            variance[list(members)] += weight / len(sets) * (2 / order) ** 2
    assert torch.allclose(process.covariance(subsets, subsets), halves)
    assert torch.allclose(process.covariance_with_values(subsets), values)
    assert torch.allclose(torch.full((units,), process.variance, dtype=torch.float64), variance)


def test_the_error_is_as_large_as_the_values_are_off() -> None:
    units, games = 9, 400
    generator = torch.Generator().manual_seed(0)
    sets = torch.tensor(list(combinations(range(units), 3)))
    single, worth = (torch.randn(n, games, generator=generator, dtype=torch.float64) for n in (units, len(sets)))
    truth = 2 * single + torch.zeros_like(single).index_add_(0, sets.flatten(), (2 * worth / 3).repeat_interleave(3, 0))
    subsets = chosen(units, 20, 0)
    signs = 2.0 * subsets.double() - 1
    values, errors = Process.of(units).fitted(subsets, signs @ single + signs[:, sets].prod(dim=-1) @ worth)
    assert errors.square().mean() == pytest.approx(float((values - truth.T).square().mean()), rel=0.2)


def test_each_subset_leaves_less_in_doubt_than_any_other_in_its_place() -> None:
    process, rows = Process.of(6), chosen(6, 7, 0)
    every = torch.tensor([[True, *rest] for rest in product([True, False], repeat=5)])

    def doubt(subsets: torch.Tensor) -> float:
        inverse = torch.linalg.inv(process.covariance(subsets, subsets) + 1e-5 * torch.eye(len(subsets)))
        told = process.covariance_with_values(subsets)
        left = process.variance - torch.einsum("pu,pq,qu->u", told, inverse, told)
        return float(left.sum())

    taken = {tuple(row) for row in rows.tolist()}
    assert len(taken) == len(rows) == 8 and rows[0].all()
    for i in range(1, len(rows)):
        others = [doubt(torch.cat([rows[:i], one[None]])) for one in every if tuple(one.tolist()) not in taken]
        assert doubt(rows[: i + 1]) <= min(others) * (1 + 1e-6)


@pytest.mark.parametrize("units", [2, 7, 12, 40])
def test_more_subsets_go_on_from_fewer_and_none_is_there_twice(units: int) -> None:
    most = min(40, 2 ** (units - 1) - 1)
    rows = chosen(units, most, 3)
    assert torch.equal(chosen(units, most // 2, 3), rows[: most // 2 + 1])
    both = [tuple(row) for row in torch.cat([rows, ~rows]).tolist()]
    assert len(set(both)) == len(both) == 2 * (most + 1)


@pytest.mark.parametrize(("units", "count"), [(12, 1500), (13, 3000), (16, 5000)])
def test_more_than_are_chosen_are_drawn_and_none_is_there_twice(units: int, count: int) -> None:
    rows = chosen(units, count, 0)
    both = [tuple(row) for row in torch.cat([rows, ~rows]).tolist()]
    assert len(rows) == count + 1 and len(set(both)) == len(both)


@pytest.mark.parametrize("samples", [8, 16, 30, 60])
def test_the_scores_add_up_whatever_the_number_of_samples(samples: int) -> None:
    question, _ = products(9, seed=0)
    scores, _ = ShapleyGP(samples=samples).attribute(question)
    gap = question.intact() - question.emptied()
    assert torch.allclose(scores.sum(dim=1), gap.double(), atol=1e-6)
    assert question.rows <= samples


def test_what_is_linear_is_found_with_as_many_pairs_as_units() -> None:
    question, truth = products(10, seed=1, together=0.0)
    scores, errors = ShapleyGP(samples=2 * 12).attribute(question)
    assert torch.allclose(scores[0], truth, atol=1e-3)
    assert float(errors.max()) < 0.02


@pytest.mark.parametrize(("units", "samples"), [(9, 60), (14, 100)])
def test_the_errors_hold_where_the_assumption_does(units: int, samples: int) -> None:
    inside, shorter = [], []
    for seed in range(30):
        question, truth = products(units, seed)
        scores, errors = ShapleyGP(samples=samples).attribute(question)
        inside.append(((scores[0] - truth).abs() <= 1.96 * errors[0]).double().mean())
        other, _ = KernelShap(samples=samples).attribute(products(units, seed)[0])
        shorter.append(((scores[0] - truth).square().mean() / (other[0] - truth).square().mean()).sqrt())
    assert 0.9 <= float(torch.stack(inside).mean()) <= 0.99
    assert float(torch.stack(shorter).mean()) < 0.7  # of the error of Kernel SHAP with as many variants


def test_all_subsets_give_what_kernel_shap_gives_without_an_error() -> None:
    question, truth = products(6, seed=2)
    scores, errors = ShapleyGP(samples=64, seed=5).attribute(question)
    assert torch.allclose(scores[0], truth, atol=1e-5)
    assert not errors.any()


def test_a_tolerance_stops_as_soon_as_it_is_met() -> None:
    def told(tolerance: float | None) -> tuple[int, torch.Tensor]:
        question, _ = products(11, seed=0)
        _, errors = ShapleyGP(samples=600, tolerance=tolerance).attribute(question)
        return question.rows, errors

    whole, least = told(None)
    rows, errors = told(0.05)
    assert rows < whole / 2 and float(errors.max()) <= 0.05 < told(None)[0]
    assert float(least.max()) < float(errors.max())


def test_the_cap_on_rows_is_kept_and_one_pair_is_the_least() -> None:
    options = {"by": "shapley-gp", "samples": 256, "progress": False}
    (found,) = interp.attribute(tiny_classifier(), SENTENCE, max_rows=20, **options)
    assert found.rows <= 20
    with pytest.raises(BudgetError):
        interp.attribute(tiny_classifier(), SENTENCE, max_rows=2, **options)


def test_parameters_that_make_no_sense_are_refused() -> None:
    for wrong in ({"samples": 3}, {"tolerance": 0.0}):
        with pytest.raises(InputError):
            interp.method("shapley-gp", **wrong)


@pytest.mark.parametrize("samples", [24, 4096])
def test_each_generated_token_is_explained_by_the_units_before_it(samples: int) -> None:
    given = {"targets": " so sad today", "by": "shapley-gp", "samples": samples, "progress": False}
    (found,) = interp.attribute(tiny_generator(), "i feel so happy", **given)
    (other,) = interp.attribute(tiny_generator(), "i feel so happy", **{**given, "by": "kernel-shap"})
    assert torch.allclose(found.scores.sum(dim=1), other.scores.sum(dim=1), atol=1e-4)
    outside = ~found.applicable
    assert bool(outside.any()) and not found.scores[outside].any() and not found.error[outside].any()


class Raw:
    """The method, with what it gave before the toolkit puts zeros where a unit does not apply."""

    def attribute(self, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
        self.given = ShapleyGP(samples=24).attribute(question)
        return self.given


def test_what_does_not_apply_keeps_no_tolerance_from_being_met() -> None:
    by = Raw()
    (found,) = interp.attribute(tiny_generator(), "i feel so happy", targets=" so sad today", by=by, progress=False)
    scores, errors = by.given
    assert not scores[~found.applicable].any() and not errors[~found.applicable].any()


@pytest.mark.real
def test_a_real_sentence_of_nine_words(real_model: Callable[[str], interp.TextModel]) -> None:
    model = real_model("emotion-minilm")
    (exact,) = interp.attribute(model, SENTENCE, by="shapley", samples=1024, progress=False)
    (found,) = interp.attribute(model, SENTENCE, by="shapley-gp", samples=64, progress=False)
    assert float((found.scores - exact.scores).abs().max()) < 0.1 * float(exact.scores.abs().max())
