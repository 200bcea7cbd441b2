"""Kernel SHAP: Shapley values when all subsets fit, close to them with honest errors when they do not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from math import comb, log

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_kernel_shap.kernel_shap import KernelShap, fitted
from interp_kernel_shap.pairs import count_of_size, kernel, numbers, outside_in, sample
from scipy.stats import t as student

test_contract = contract_tests("kernel-shap", samples=64)

SENTENCE = "i feel so angry and bitter about love today"
ANGER = [0.014, -0.123, -0.018, 2.150, -0.042, 1.958, -0.009, -0.060, -0.007]  # exact Shapley values, by a prototype


def products(units: int, seed: int = 0, order: int = 3) -> tuple[Question, torch.Tensor]:
    """Sums of products of a few units, each of which shares what it is worth among them: Shapley's own axioms."""
    generator = torch.Generator().manual_seed(seed)
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
    """Kernel SHAP that keeps its question, so that the test can put it in other ways."""

    def __init__(self, samples: int) -> None:
        self.method = KernelShap(samples=samples)

    def attribute(self, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
        self.question = question
        return self.method.attribute(question)


@contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Numpy's global random state seeded, and afterwards as it was."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def masked(question: Question) -> Callable[[np.ndarray], np.ndarray]:
    """The score as a function of rows of 0 and 1, as shap wants it."""
    return lambda rows: question.masked(torch.from_numpy(np.asarray(rows)) > 0.5)[:, 0].double().numpy()


def test_all_subsets_give_the_mean_over_all_orders() -> None:
    question = tangled_world(3, units=6)
    scores, error = KernelShap(samples=64).attribute(question)
    assert torch.allclose(scores.float(), over_all_orders(question), atol=1e-6)
    assert not error.any()


def test_one_unit_has_all_of_the_difference() -> None:
    question = tangled_world(0, units=1)
    scores, error = KernelShap(tolerance=0.1).attribute(question)
    assert torch.allclose(scores[:, 0].float(), question.intact() - question.emptied())
    assert not error.any()


def test_nine_words_of_a_real_model_are_explained_exactly(real_model: Callable[[str], interp.TextModel]) -> None:
    """Against a prototype's values, shap's explainer, and the difference they add up to."""
    import shap

    model, by = real_model("emotion-minilm"), Asked(512)
    (found,) = interp.attribute(model, SENTENCE, by=by, targets="anger", progress=False)
    score, none, all_ = masked(by.question), np.zeros((1, 9)), np.ones((1, 9))
    assert found.exact and found.rows == 512
    assert np.allclose(found.scores[0], ANGER, atol=1e-3)
    assert abs(float(found.scores.sum()) - float(score(all_)[0] - score(none)[0])) < 1e-4
    theirs = shap.KernelExplainer(score, none).shap_values(all_, nsamples=512, l1_reg=False, silent=True)
    assert np.allclose(found.scores[0], theirs[0], atol=1e-4)
    rows = (np.arange(512)[:, None] >> np.arange(9)) % 2  # what each unit adds, by the size of the subset it joins
    value, chance = score(rows), np.array([1 / (9 * comb(8, n)) if n < 9 else 0 for n in range(10)])[rows.sum(1)]
    for unit in range(9):
        before = np.flatnonzero(rows[:, unit] == 0)
        shapley = chance[before] @ (value[before + 2**unit] - value[before])
        assert abs(shapley - float(found.scores[0, unit])) < 1e-4


def test_captum_finds_the_same_on_a_small_function() -> None:
    from captum.attr import KernelShap as Sampled
    from captum.attr import ShapleyValues

    question = tangled_world(1, units=4, targets=1)
    scores, _ = KernelShap(samples=16).attribute(question)
    which = torch.arange(4)[None, :, None].repeat(1, 1, 2)
    call = {"inputs": question.x[None], "baselines": question.baseline[None], "feature_mask": which}
    exact = ShapleyValues(lambda v: question.at(v)[:, 0]).attribute(**call)
    assert torch.allclose(scores[0].float(), exact[0, :, 0], atol=1e-5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sampled = Sampled(lambda v: question.at(v)[:, 0]).attribute(**call, n_samples=3000)
    assert torch.allclose(scores[0].float(), sampled[0, :, 0], atol=0.1 * float(exact.abs().max()))


@pytest.mark.parametrize("samples", [4, 5, 10, 24, 60, 300])
def test_the_scores_add_up_whatever_the_number_of_samples(samples: int) -> None:
    question = tangled_world(2, units=12)
    scores, error = KernelShap(samples=samples).attribute(question)
    assert torch.allclose(scores.sum(1), (question.intact() - question.emptied()).double(), atol=1e-6)
    assert question.rows <= samples and bool((error > 0).all())


@pytest.mark.parametrize("units", [13, 40])
def test_twice_as_many_pairs_as_units_explain_what_is_linear_and_joins_two(units: int) -> None:
    """What two units do together is the same in a subset and in its complement, so pairs are not misled by it."""
    for question, truth in (linear_world(1, units, 3), products(units, order=2)):
        scores, error = KernelShap(samples=4 * units).attribute(question)
        assert torch.allclose(scores.float(), truth, atol=1e-4)
        assert float(error.max()) < 1e-4


def test_the_error_falls_with_the_root_of_the_samples() -> None:
    question, truth = products(30)
    budgets, misses = (1000, 3000), []
    for samples in budgets:
        found = [KernelShap(samples=samples, seed=seed).attribute(question)[0] for seed in range(5)]
        misses.append(float((torch.stack(found) - truth).square().mean().sqrt()))
    slope = log(misses[1] / misses[0]) / log(budgets[1] / budgets[0])
    assert -0.6 < slope < -0.4


@pytest.mark.parametrize("samples", [4, 6, 14, 34, 60, 160])
def test_two_standard_errors_hold_the_truth_in_95_of_100_runs(samples: int) -> None:
    """With one, two and fewer pairs than units, with one size taken whole and few or many others, and with two."""
    question, truth = products(10)
    runs = [KernelShap(samples=samples, seed=seed).attribute(question) for seed in range(300)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs]).double().mean()
    assert 0.92 <= float(held) <= 0.985


def test_the_squared_error_is_below_that_of_shap_on_the_same_budget() -> None:
    """Of 10 units, over 40 functions, each error as a share of the squared truth; the two are paired by function."""
    import shap

    def missed(scores: np.ndarray, truth: torch.Tensor) -> float:
        return float(np.square(scores - truth[0].numpy()).mean() / truth[0].square().mean())

    ours, theirs = [], []
    for seed in range(40):
        question, truth = products(10, seed)
        ours.append(missed(KernelShap(samples=128, seed=seed).attribute(question)[0][0].numpy(), truth))
        with numpy_seeded(seed):  # shap draws from the global state, whatever its own seed
            explainer = shap.KernelExplainer(masked(question), np.zeros((1, 10)))
            found = explainer.shap_values(np.ones((1, 10)), nsamples=126, l1_reg=False, silent=True)
        theirs.append(missed(found[0], truth))
    less = np.array(theirs) - np.array(ours)
    assert less.mean() > 2.5 * less.std(ddof=1) / len(less) ** 0.5


@pytest.mark.parametrize("offset", [0.0, 0.3, 1 - 2**-53])
@pytest.mark.parametrize(("u", "count"), [(2, 1), (5, 15), (9, 63), (10, 63), (12, 500), (50, 127), (2000, 40)])
def test_sizes_have_together_the_weight_of_the_kernel(u: int, count: int, offset: float) -> None:
    plan = list(numbers(u, count, offset))
    assert sum(number for _, number, _ in plan) == count
    assert all(1 <= number <= count_of_size(u, size) for size, number, _ in plan)
    assert sum(n * w for _, n, w in plan) == pytest.approx(sum(kernel(u, s) for s in range(1, u // 2 + 1)))


def test_sizes_that_are_not_taken_whole_have_on_average_their_share_of_the_kernel() -> None:
    """Of 9 units: the 9 pairs of size 1 fit into their share of 63, the 36 of size 2 do not."""
    plans = [dict(row[:2] for row in numbers(9, 63, offset)) for offset in np.linspace(0, 1, 1000, endpoint=False)]
    share = {size: 54 * kernel(9, size) / sum(kernel(9, s) for s in (2, 3, 4)) for size in (2, 3, 4)}
    assert {plan[1] for plan in plans} == {9}
    for size, expected in share.items():
        taken = [plan[size] for plan in plans]
        assert max(abs(n - expected) for n in taken) < 1
        assert sum(taken) / len(taken) == pytest.approx(expected, abs=2e-3)


def test_the_kernel_is_that_of_all_subsets_of_a_size() -> None:
    for size in range(1, 10):  # of 10 units, sizes 1 and 9 are the same pairs
        each = (10 - 1) / (comb(10, size) * size * (10 - size))
        assert kernel(10, size) == pytest.approx(each * count_of_size(10, size))


@pytest.mark.parametrize("u", [3, 9, 32])
def test_fewer_pairs_than_units_are_different_halves_with_the_weight_of_all_sizes(u: int) -> None:
    """Weighed so that the squares of a line add up to what the kernel gives, which the standard error rests on."""
    count = u - 2
    pairs = outside_in(u, count, seed=0, few=True)
    assert len({tuple(row) for row in torch.cat([pairs.inside, ~pairs.inside]).tolist()}) == 2 * count
    assert set(pairs.inside.sum(1).tolist()) == {u // 2}
    spread = {size: size * (u - size) / (u * (u - 1)) for size in range(1, u // 2 + 1)}  # of a line, by size
    expected = sum(kernel(u, size) * spread[size] for size in spread)
    assert float(pairs.weight.sum()) * spread[u // 2] == pytest.approx(expected)


def test_one_unit_of_32_that_matters_is_first_with_15_pairs() -> None:
    first = 0
    for seed in range(100):
        question = ask(lambda v, unit=seed % 32: 5 * v[:, unit], torch.ones(32, 1))
        scores, _ = KernelShap(samples=32, seed=seed).attribute(question)
        first += int(scores[0].argmax()) == seed % 32
    assert first >= 97


@pytest.mark.parametrize("u", [2, 3, 6, 9])
def test_all_pairs_are_all_subsets_but_the_ends_each_once(u: int) -> None:
    pairs = outside_in(u, 2 ** (u - 1) - 1, seed=0)
    rows = {tuple(row) for row in torch.cat([pairs.inside, ~pairs.inside]).tolist()}
    assert len(rows) == 2 * len(pairs.inside) == 2**u - 2
    assert not pairs.open.any()


def test_no_subset_is_drawn_twice_and_outer_sizes_are_taken_whole() -> None:
    pairs = outside_in(10, 160, seed=0)
    rows = {tuple(row) for row in torch.cat([pairs.inside, ~pairs.inside]).tolist()}
    assert len(rows) == 320
    small = pairs.inside.sum(1)
    assert [int((small == s).sum()) for s in (1, 2)] == [10, 45]
    assert bool((pairs.open[small <= 2] == 0).all() and (pairs.open[small > 2] > 0).all())


def test_no_two_subsets_of_half_of_the_units_are_each_others_complement() -> None:
    rows = {frozenset(row) for row in sample(8, 4, 30, seed=0)}
    assert len(rows) == 30 and len(rows | {frozenset(range(8)) - row for row in rows}) == 60


def test_each_pair_is_judged_by_a_line_fitted_without_it() -> None:
    """Standard errors, by fitting once for each pair that is drawn."""
    question, _ = products(9)
    pairs = outside_in(9, 40, seed=0)
    one, other = (question.masked(side)[:, :1].double() for side in (pairs.inside, ~pairs.inside))
    gap = (question.intact() - question.emptied())[:1].double()
    _, error = fitted(pairs, one - other, gap, torch.ones(1, 9, dtype=torch.bool))
    x, weight = pairs.inside.double().numpy(), pairs.weight.numpy()
    share = x.mean(axis=1)
    x, y = x - share[:, None], (one - other)[:, 0].numpy() / 2 + float(gap[0]) * (0.5 - share)
    moves = []
    for j in pairs.open.nonzero().flatten().tolist():
        rest = np.arange(len(x)) != j
        root = np.sqrt(weight[rest])
        line = np.linalg.lstsq(root[:, None] * x[rest], root * y[rest], rcond=1e-9)[0]
        reach = np.linalg.pinv(x.T @ (weight[:, None] * x), rcond=1e-9) @ x[j]
        moves.append(weight[j] * float(pairs.open[j]) ** 0.5 * reach * (y[j] - x[j] @ line))
    m = len(moves)
    assert 0 < m < 40
    wider = student.ppf(0.975, m - 1) / 1.959964
    assert np.allclose(error[0], wider * np.sqrt(np.square(np.diff(moves, axis=0)).sum(axis=0) * m / (m - 1) / 2))


def test_more_samples_go_on_from_fewer() -> None:
    few, more = (outside_in(20, count, seed=3).inside for count in (60, 180))
    known = {tuple(row) for row in more.tolist()}
    assert sum(tuple(row) in known for row in few.tolist()) >= 57  # sizes round their numbers down now and then


def test_a_tolerance_stops_as_soon_as_it_is_met() -> None:
    question, truth = products(16)
    scores, error = KernelShap(samples=4000, tolerance=0.3).attribute(question)
    assert float(error.max()) <= 0.3 and question.rows < 1500
    assert float(((scores - truth).abs() / error).max()) < 5


def test_the_cap_on_rows_is_kept_and_one_pair_is_the_least() -> None:
    model, text = tiny_classifier(), "i feel so happy and calm but not good"
    (found,) = interp.attribute(model, text, by=KernelShap(samples=512), max_rows=30, progress=False)
    (whole,) = interp.attribute(model, text, by=KernelShap(samples=512), progress=False)
    assert found.rows <= 30 and not found.exact and whole.exact
    assert torch.allclose(found.scores.sum(), whole.scores.sum(), atol=1e-4)
    with pytest.raises(BudgetError):
        interp.attribute(model, text, by=KernelShap(), max_rows=2, progress=False)


def test_a_contrast_has_the_difference_of_the_scores_also_when_sampled() -> None:
    model, text = tiny_classifier(), "i feel so happy and calm but not good"
    targets = [0, 1, interp.contrast(0, 1)]
    (found,) = interp.attribute(model, text, by=KernelShap(samples=100), targets=targets, progress=False)
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
        assert found.exact
        assert torch.allclose(found.scores, over_all_orders(question), atol=1e-4)


@pytest.mark.parametrize("samples", [20, 60])
def test_what_does_not_matter_to_a_target_takes_nothing_of_it(samples: int) -> None:
    """One target to which the first unit alone matters, one to which the first two do."""
    question, _ = products(14)
    whole, targets = question.runner.function, question.targets
    question.runner.function = lambda v: torch.cat([whole(v), v[:, 0], v[:, 0] + v[:, 1]], dim=1)
    applicable = torch.ones(4, 14, dtype=torch.bool)
    applicable[2, 1:] = applicable[3, 2:] = False
    question = question.replace(targets=(*targets, *targets), applicable=applicable, runner=question.runner)
    scores, error = KernelShap(samples=samples).attribute(question)
    assert torch.allclose(scores[2], torch.eye(14, dtype=scores.dtype)[0], atol=1e-9) and not error[2].any()
    assert not scores[3, 2:].any() and not error[3, 2:].any() and float(scores[3].sum()) == pytest.approx(2)
    assert bool((error[:2] > 0).all())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 4"):
        KernelShap(samples=3)
    with pytest.raises(InputError, match="positive standard error"):
        KernelShap(tolerance=0.0)
