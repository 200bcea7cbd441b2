"""Max-sensitivity against closed forms, captum, and methods whose answers are known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask, explain
from interp_core.errors import BudgetError, InputError, UnsupportedError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_max_sensitivity.max_sensitivity import MaxSensitivity
from torch import Tensor

test_contract = contract_tests("max-sensitivity")

QUIET: dict[str, Any] = {"progress": False}


@dataclass
class Product:
    """The features times the gradient; it keeps where it was asked."""

    asked: list[Tensor] = field(default_factory=list)

    def attribute(self, question: Question) -> Tensor:
        self.asked.append(question.x)
        (slope,) = question.gradients(question.x[None])
        return question.pool((question.x * slope).sum(-1))


class Gradient:
    """The gradient alone."""

    def attribute(self, question: Question) -> Tensor:
        (slope,) = question.gradients(question.x[None])
        return question.pool(slope.sum(-1))


@dataclass
class Uniform:
    """New numbers from 0 to 1 each time it is asked."""

    generator: torch.Generator

    def attribute(self, question: Question) -> Tensor:
        return torch.rand(len(question.targets), len(question.units), generator=self.generator)


class Positions:
    """Looks at nothing but the place of each unit."""

    def attribute(self, question: Question) -> Tensor:
        return torch.arange(1.0, len(question.units) + 1).expand(len(question.targets), -1)


def measured(metric: MaxSensitivity, question: Question, method: Any) -> Tensor:
    values = metric.measure(explain(method, question), question, method).values
    assert values is not None
    return values


def moves_of(metric: MaxSensitivity, question: Question) -> Tensor:
    """Where the method is asked again."""
    method = Product()
    made = explain(method, question)
    method.asked.clear()
    metric.measure(made, question, method)
    return torch.stack(method.asked)


@pytest.mark.parametrize("units", [1, 12])
def test_the_gradient_of_a_linear_score_never_changes(units: int) -> None:
    question, _ = linear_world(1, units, 3)
    assert measured(MaxSensitivity(radius=1.0), question, Gradient()).tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert (measured(MaxSensitivity(radius=1.0), question, Product()) > 0.01).all()


def test_contributions_to_a_linear_score_change_by_the_weighted_move() -> None:
    """Σ_u (w_u · e_u)² over Σ_u (w_u · x_u)², the largest of all moves."""
    question, truth = linear_world(2, 6, 2)
    (weight,) = question.gradients(question.x[None])  # (k, f, d)
    moves = moves_of(MaxSensitivity(), question) - question.x
    changes = torch.stack([(weight * move).sum(-1).square().sum(1) for move in moves])  # (p, k)
    expected = (changes.amax(0) / truth.square().sum(1)).sqrt()
    assert torch.allclose(measured(MaxSensitivity(), question, Product()), expected, rtol=1e-3)


@pytest.mark.parametrize("radius", [0.02, 0.5])
def test_it_is_captums_largest_sensitivity_over_the_same_moves(radius: float) -> None:
    from captum.metrics import sensitivity_max

    question, metric = tangled_world(4, units=6, targets=2), MaxSensitivity(radius=radius, samples=7)
    moved = moves_of(metric, question)
    found = measured(metric, question, Product())
    for k in range(2):

        def scores(given: Tensor | tuple[Tensor], k: int = k) -> tuple[Tensor]:
            x = given[0] if isinstance(given, tuple) else given
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                (slope,) = torch.autograd.grad(question.at(leaf)[:, k].sum(), leaf)
            return ((x * slope).sum(-1),)

        expected = sensitivity_max(scores, question.x[None], lambda _: moved, n_perturb_samples=7)
        assert float(found[k]) == pytest.approx(float(expected), rel=1e-4)


def test_moves_fill_the_cube_up_to_the_radius_in_units_of_the_spread() -> None:
    question = tangled_world(0, units=14)
    question = question.replace(spread=3.0)
    shares = (moves_of(MaxSensitivity(radius=0.2, samples=200), question) - question.x) / (0.2 * 3.0)
    assert float(shares.abs().max()) <= 1.0 + 1e-4
    assert float(shares.mean()) == pytest.approx(0, abs=0.02)
    assert float(shares.square().mean()) == pytest.approx(1 / 3, abs=0.01)  # uniform, so not the corners alone
    assert len(shares.flatten(1).unique(dim=0)) == 200


def test_more_moves_only_find_larger_changes_and_more_room_does_too() -> None:
    question = tangled_world(3, units=8)
    few, many = (measured(MaxSensitivity(samples=n), question, Product()) for n in (2, 20))
    assert bool((many >= few).all()) and not torch.equal(many, few)
    assert bool((measured(MaxSensitivity(radius=0.3), question, Product()) > 2 * few).all())


def test_moves_depend_on_the_seed_alone() -> None:
    one, again, other = (measured(MaxSensitivity(seed=s), tangled_world(), Product()) for s in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_the_unit_of_the_scores_does_not_matter() -> None:
    question = tangled_world(1, units=6)
    runner: Any = question.runner
    larger = ask(lambda v: 1000 * runner.function(v), question.x)
    one, two = (measured(MaxSensitivity(), q, Product()) for q in (question, larger))
    assert torch.allclose(one, two, rtol=1e-4)


def test_what_looks_at_nothing_never_changes_and_what_is_random_does() -> None:
    question = tangled_world(0, units=400, targets=1)
    assert float(measured(MaxSensitivity(), question, Positions())) == 0
    random = Uniform(torch.Generator().manual_seed(0))
    expected = (1 / 6 / (1 / 3)) ** 0.5  # E (a - b)² over E b² of uniform numbers
    assert float(measured(MaxSensitivity(samples=1), question, random)) == pytest.approx(expected, rel=0.1)


def test_units_that_cannot_matter_do_not_count() -> None:
    question = ask(lambda v: (v[:, :, 0] ** 2).sum(1, keepdim=True), torch.tensor([[1.0], [2.0], [100.0]]))
    question = question.replace(applicable=torch.tensor([[True, True, False]]))
    made = explain(Product(), question)
    made.scores[0, 2] = 1e6
    moves = moves_of(MaxSensitivity(), question)[:, :2, 0]
    change = (2 * moves**2 - torch.tensor([2.0, 8.0])).norm(dim=1).max() / torch.tensor([2.0, 8.0]).norm()
    assert MaxSensitivity().measure(made, question, Product()).value == pytest.approx(float(change), rel=1e-4)


def test_without_attributions_the_change_is_given_as_it_is() -> None:
    question = ask(lambda v: v[:, :1, 0] ** 2, torch.zeros(3, 1))
    question = question.replace(spread=1.0)
    found = MaxSensitivity(radius=0.5, samples=40).measure(explain(Gradient(), question), question, Gradient())
    assert 0.9 < found.value <= 1.0 and "all attributions are zero" in found.notes[0]
    assert MaxSensitivity().measure(explain(Positions(), question), question, Positions()).notes == ()


def test_a_cap_on_rows_leaves_room_for_fewer_moves() -> None:
    question = tangled_world(0, units=6)
    made = explain(Product(), question)
    assert made.rows == 1 + 1  # its own and the intact text
    capped = tangled_world(0, units=6)
    capped, method = capped.with_budget(10), Product()
    MaxSensitivity(samples=50).measure(made, capped, method)
    assert len(method.asked) == (10 - 2) // 3
    capped = capped.with_budget(3)
    with pytest.raises(BudgetError, match="max_rows is 3"):
        MaxSensitivity().measure(made, capped, Product())


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"radius": 0.0}, {"radius": float("nan")}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 1 sample and a radius above 0"):
        MaxSensitivity(**wrong)


def test_the_definition_says_how_far_and_how_often() -> None:
    assert "up to 0.25 standard" in MaxSensitivity(radius=0.25).definition
    assert "7 moves" in MaxSensitivity(samples=7).definition


@pytest.mark.parametrize(("make", "by"), [(tiny_classifier, "lime"), (tiny_generator, "integrated-gradients")])
def test_classes_and_tokens_are_asked_again_in_their_own_score_space(make: Any, by: str) -> None:
    """Of a method that gives errors too, and of one that does not."""
    model, small = make(), {"samples": 40} if by == "lime" else {"steps": 4}
    targets = {"targets": "all"} if by == "lime" else {"max_new_tokens": 2}
    found = interp.attribute(model, ["i feel so happy", "the dog was old"], by=by, **targets, **small, **QUIET)
    still, moved = (
        interp.measure(found, model, by="max-sensitivity", radius=r, samples=2, **QUIET) for r in (1e-6, 0.5)
    )
    assert still.values is not None and len(still.values) == sum(len(a.targets) for a in found)
    assert still.value < 1e-3 < moved.value and moved.chance is not None
    assert moved.made_by.settings["score"] == found[0].score_space
    whole = interp.attribute(model, ["i feel so happy"], by=by, score="probability", **targets, **small, **QUIET)
    assert interp.measure(whole, model, by="max-sensitivity", radius=1e-6, samples=1, **QUIET).value < 1e-3


def test_at_a_layer_its_states_move() -> None:
    model = tiny_classifier()
    found = interp.attribute(model, ["i feel so happy", "the dog was old"], by="input-x-gradient", layer=0, **QUIET)
    still, moved = (interp.measure(found, model, by="max-sensitivity", radius=r, **QUIET) for r in (1e-6, 0.5))
    assert still.value < 1e-3 < moved.value


@pytest.mark.parametrize(("by", "options"), [("occlusion", {"removal": "drop"}), ("attention-rollout", {})])
def test_what_reads_words_and_no_features_is_refused(by: str, options: dict[str, Any]) -> None:
    model = tiny_classifier()
    found = interp.attribute(model, "i feel so happy", by=by, **options, **QUIET)
    with pytest.raises(UnsupportedError, match=r"removal='drop' asks|needs internals"):
        interp.measure(found, model, by="max-sensitivity", **QUIET)


def test_on_a_real_classifier_attributions_hardly_change_where_random_ones_do(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-tiny")
    texts = sorted(real_texts("emotion")[:60], key=len)[5:10]
    found: list[Attribution] = interp.attribute(model, texts, by="occlusion", **QUIET)
    steady = interp.measure(found, model, by="max-sensitivity", samples=3, **QUIET)
    steep = interp.attribute(model, texts, by="input-x-gradient", **QUIET)
    shaky = interp.measure(steep, model, by="max-sensitivity", samples=3, **QUIET)
    assert steady.value < 0.1 and steady.value < shaky.value
    assert steady.margin is not None and steady.margin[0] > 0.3
