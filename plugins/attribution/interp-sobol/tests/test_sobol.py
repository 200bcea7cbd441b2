"""Sobol indices are shares of variance: exact against the analysis of variance, with honest errors where drawn."""

import itertools

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_sobol.sobol import Sobol, first_effect, shares, total_effect
from scipy.stats import t as student

test_contract = contract_tests("sobol", samples=32)


def analysis_of_variance(question: Question) -> tuple[torch.Tensor, torch.Tensor]:
    """First-order and total indices of the first target from the whole table of scores, one axis a unit."""
    u = len(question.units)
    masks = torch.tensor(list(itertools.product([False, True], repeat=u)))
    table = question.masked(masks)[:, 0].double().reshape([2] * u)
    variance = table.var(correction=0)
    others = [[j for j in range(u) if j != i] for i in range(u)]
    first = torch.stack([table.mean(dim=o).var(correction=0) for o in others])
    total = torch.stack([table.var(dim=i, correction=0).mean() for i in range(u)])
    return first / variance, total / variance


@pytest.mark.parametrize("units", [2, 7])
def test_exact_indices_are_those_of_the_analysis_of_variance(units: int) -> None:
    question = tangled_world(1, units=units)
    first, total = analysis_of_variance(question)
    for order, truth in (("first", first), ("total", total)):
        scores, error = Sobol(order=order).attribute(question)
        assert torch.allclose(scores[0], truth, atol=1e-6)
        assert not error.any()


def test_a_linear_score_has_squared_contributions_as_shares() -> None:
    question, truth = linear_world(3, 6, 2)
    shares = truth.double().square() / truth.double().square().sum(1, keepdim=True)
    for order in ("first", "total"):
        assert torch.allclose(Sobol(order=order).attribute(question)[0], shares, atol=1e-6)


def test_two_units_that_only_matter_together_have_total_indices_alone() -> None:
    """Of an exclusive or all variance is interaction: total 1 and 1, first order 0 and 0."""
    question = ask(lambda v: (v[:, 0] + v[:, 1] - 2 * v[:, 0] * v[:, 1]) + 0 * v[:, 2], torch.ones(3, 1))
    assert Sobol().attribute(question)[0][0].tolist() == pytest.approx([1, 1, 0], abs=1e-9)
    assert Sobol(order="first").attribute(question)[0][0].tolist() == pytest.approx([0, 0, 0], abs=1e-9)


def test_the_total_effect_of_ishigami_s_function_is_known() -> None:
    """A coordinate drawn anew always moves, a Boolean one in half of the cases: so twice the effect is Jansen's."""
    n = 2**14
    points = torch.quasirandom.SobolEngine(6, scramble=True, seed=0).draw(n).double() * 2 * torch.pi - torch.pi
    one, other = points[:, :3], points[:, 3:]

    def ishigami(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0].sin() + 7 * x[..., 1].sin() ** 2 + 0.1 * x[..., 2] ** 4 * x[..., 0].sin()

    anew = torch.where(torch.eye(3, dtype=torch.bool), other[:, None], one[:, None])  # (n, 3, 3)
    moved = (ishigami(anew) - ishigami(one)[:, None])[:, :, None]
    found = 2 * total_effect(moved, n).value[:, 0] / ishigami(one).var()
    assert found.tolist() == pytest.approx([0.558, 0.442, 0.244], abs=0.02)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1234.5])
def test_a_constant_score_has_indices_of_zero(constant: float) -> None:
    for units in (3, 20):
        question = ask(lambda v: constant + 1e-9 * v[:, 0], torch.ones(units, 1))
        scores, error = Sobol().attribute(question)
        assert bool(torch.isfinite(scores).all()) and bool(torch.isfinite(error).all())
        assert not constant or not (scores.any() or error.any())  # beside 0 a billionth is no rounding


def test_a_small_score_is_no_constant_one() -> None:
    question = ask(lambda v: 1e-9 * (v[:, 0] + 2 * v[:, 1]), torch.ones(2, 1))
    assert Sobol().attribute(question)[0][0].tolist() == pytest.approx([0.2, 0.8], abs=1e-6)


@pytest.mark.parametrize("samples", [4, 12, 100])
@pytest.mark.parametrize("order", ["first", "total"])
def test_the_interval_holds_the_exact_index_as_often_as_it_says(order: str, samples: int) -> None:
    question = tangled_world(5, units=7, targets=1)
    truth, _ = Sobol(order=order).attribute(question)
    question = question.with_budget(1)  # all 128 masks are known by now: none is evaluated, and no enumeration fits
    vars(question)["afford"] = lambda draws, rows_each=1: draws
    runs = [Sobol(samples=samples, order=order, seed=s).attribute(question) for s in range(300)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs])
    assert (0.9 if samples < 12 else 0.915) <= float(held.double().mean()) <= 0.98


def test_a_first_order_effect_has_no_bias_of_a_square() -> None:
    """Of 4000 units, each of whose contributions are drawn five times about 1, with a spread of 2."""
    brings = 1 + 2 * torch.randn(5, 4000, 1, generator=torch.Generator().manual_seed(0)).double()
    assert float(first_effect(brings, 5).value.mean()) == pytest.approx(0.25, abs=0.03)


def test_a_first_order_effect_about_zero_is_as_unsure_as_its_square() -> None:
    """There no single draw pulls at the estimate, and yet it varies; seen over 4000 units of 50 draws each."""
    brings = 2 * torch.randn(50, 4000, 1, generator=torch.Generator().manual_seed(0)).double()
    found = first_effect(brings, 50)
    assert float(found.hidden.mean()) == pytest.approx(float(found.value.var()), rel=0.15)


def test_shares_of_four_draws_by_hand() -> None:
    """An exclusive or: a unit brings 1 or -1, so halves of variance 1/4, noise 1/12; the variance is 1/4 · 4/3."""
    keep = torch.tensor([[True, True], [False, False], [True, False], [False, True]])
    either = torch.tensor([0.0, 0.0, 1.0, 1.0]).double()
    scores = torch.stack([either, 1 - either, 1 - either], dim=1)[:, :, None]
    total, _ = shares(keep, scores, "total", 4)
    first, error = shares(keep, scores, "first", 4)
    assert total[0].tolist() == pytest.approx([0.75, 0.75])
    assert first[0].tolist() == [0, 0]  # -1/4 without the clamp
    assert error[0].tolist() == pytest.approx([2**0.5 / 4 * student.ppf(0.975, 3) / 1.959964] * 2)


def test_the_share_of_a_contrast_is_that_of_its_opposite() -> None:
    model = tiny_classifier()
    text = "the old cat was never calm"
    one, other = (
        interp.attribute(model, text, by=Sobol(), targets=interp.contrast(*pair), progress=False)[0].scores
        for pair in ((0, 1), (1, 0))
    )
    assert torch.allclose(one, other, atol=1e-5)
    assert float(one.sum()) >= 0.999


def test_all_masks_are_evaluated_once() -> None:
    question = tangled_world(0, units=9)
    Sobol().attribute(question)
    assert question.rows == 512


def test_fewer_masks_are_drawn_under_a_limit_on_rows() -> None:
    question = tangled_world(0, units=9)
    question = question.with_budget(100)
    scores, error = Sobol().attribute(question)
    question.intact()
    question.emptied()
    assert question.rows <= 100
    truth, _ = Sobol().attribute(tangled_world(0, units=9))
    assert bool(error.all()) and float(((scores - truth) / error).abs().max()) < 6


def test_one_mask_alone_has_no_error_to_speak_of() -> None:
    question = tangled_world(0, units=9)
    question = question.with_budget(15)
    scores, error = Sobol().attribute(question)
    assert bool(torch.isfinite(scores).all()) and bool(torch.isinf(error).all())


def test_it_stops_when_no_error_is_above_the_tolerance() -> None:
    question = tangled_world(5, units=16)
    _, error = Sobol(samples=2000, tolerance=0.05).attribute(question)
    assert float(error.max()) <= 0.05
    assert question.rows < 0.3 * 2000 * 17 / 2


def test_several_targets_are_explained_as_one_at_a_time() -> None:
    model = tiny_classifier()
    text = "the old cat was never calm and always cold today"
    together = interp.attribute(model, text, by=Sobol(samples=8), targets=[0, 2], progress=False)[0].scores
    for row, target in enumerate((0, 2)):
        (alone,) = interp.attribute(model, text, by=Sobol(samples=8), targets=target, progress=False)
        assert torch.allclose(together[row], alone.scores[0], atol=1e-4)


def test_generated_tokens_are_explained_at_a_layer() -> None:
    (found,) = interp.attribute(tiny_generator(), "i feel so", by=Sobol(), max_new_tokens=3, layer=0, progress=False)
    assert found.exact and found.applicable is not None
    assert bool((found.scores >= 0).all()) and not found.scores[~found.applicable].any()
    assert bool((found.scores.sum(1) >= 0.999).all())


def test_the_emotion_word_is_first_where_integrated_gradients_say_so(real_model) -> None:  # type: ignore[no-untyped-def]
    model = real_model("emotion-minilm")
    texts = {"i feel so angry about it": "angry", "i was terrified by the dark": "terrified"}
    for name in ("sobol", "integrated-gradients"):
        found = interp.attribute(model, list(texts), by=name, progress=False)
        assert [a.words[int(a.scores[0].argmax())] for a in found] == list(texts.values())


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        Sobol(samples=1)
    with pytest.raises(InputError, match="first"):
        Sobol(order="second")
    with pytest.raises(InputError, match="tolerance"):
        Sobol(tolerance=-1.0)
