"""Checks of attribution methods, on planted worlds with known answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from interp_core.attribution import FunctionRunner, Question, attribute, explain, run_method
from interp_core.plugin import Claim, Method
from interp_core.testing._check import Applies, Check
from interp_core.testing._planted_worlds import linear_world, tangled_world
from interp_core.testing._shared_models import shared
from interp_core.testing._untidy_worlds import lone_world, untidy_world
from torch import Tensor


def _scores(method: Any, question: Question) -> Tensor:
    return explain(method, question).scores


def shapes_are_right(_method: Method, instance: Any) -> None:
    """The shape is (targets, units) for one or many units and for one or several targets."""
    for units, targets in ((1, 1), (2, 3), (17, 2), (40, 1)):
        scores = _scores(instance, untidy_world(1, units, targets)[0])
        assert tuple(scores.shape) == (targets, units), (
            f"{units} units and {targets} targets gave {tuple(scores.shape)}"
        )


def linear_is_exact(_method: Method, instance: Any) -> None:
    """On a linear score a signed method must return the contributions."""
    for question, truth in (untidy_world(2, 8, 2), untidy_world(3, 1, 2), linear_world(2, 2, 1)):
        worst = float((_scores(instance, question) - truth).abs().max())
        assert worst < 0.005 * float(truth.abs().max()), (
            f"the contributions of {len(question.units)} units to a linear score are off by {worst:.2g}"
        )


def what_counts_stands_out(_method: Method, instance: Any) -> None:
    """The only unit that counts has the largest score, whichever it is and however many there are."""
    for units, place in ((2, 0), (2, 1), (17, 8), (40, 39)):
        size = _scores(instance, lone_world(units, place))[0].abs()
        first = int(size.argmax())
        assert float(size[place]) > 0, f"unit {place} of {units} is the only one that counts, and its score is 0"
        assert float(size[place]) >= float(size.max()) * (1 - 1e-6), (
            f"unit {place} of {units} is the only one that counts; unit {first} has the largest score"
        )


def another_model_gets_other_scores(_method: Method, instance: Any) -> None:
    """The same text and features with another function behind them have other scores."""
    one, other = (_scores(instance, lone_world(9, place)) for place in (3, 5))
    assert not torch.equal(one, other), "another model of the same text got the same scores"


def the_model_is_ignored(_method: Method, instance: Any) -> None:
    """What claims to ignore the model gives two models the same scores."""
    one, other = (_scores(instance, lone_world(9, place)) for place in (3, 5))
    assert torch.equal(one, other), "it claims to ignore the model, and another model got other scores"


def scores_are_nonnegative(method: Method, instance: Any) -> None:
    """No score is below 0."""
    if "internals" in method.needs:
        scores = attribute(shared("planted"), "so sad", by=instance, targets="all", progress=False)[0].scores
    else:
        scores = _scores(instance, tangled_world(8))
    assert float(scores.min()) >= 0, f"a score is {float(scores.min()):.3g}"


def order_is_irrelevant(_method: Method, instance: Any) -> None:
    """If the units are in another order, so are the scores."""
    question, _ = linear_world(3, 8, 2)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    shuffled = FunctionRunner(
        lambda v: runner.function(v[:, order.argsort()]), question.x[order], question.baseline[order], question.unit_of
    )
    units = [question.units[i] for i in order]
    other = Question(
        shuffled,
        x=shuffled.x,
        baseline=shuffled.baseline,
        unit_of=shuffled.unit_of,
        units=units,
        targets=question.targets,
    )
    worst = float((_scores(instance, other) - _scores(instance, question)[:, order]).abs().max())
    assert worst < 1e-3, f"another order of the units changed scores by {worst:.2g}"


def planted_word_is_first(_method: Method, instance: Any) -> None:
    """The only word that counts has the largest score; it is of two pieces, and its first counts for nothing."""
    text = "the cat was so very happy today"
    (attribution,) = attribute(shared("planted"), text, by=instance, targets=0, progress=False)
    assert attribution.top()[0][0] == "happy", f"the planted word is not first: {attribution.top()}"


def signs_are_kept(_method: Method, instance: Any) -> None:
    """A word that counts against a class has a negative score, one that counts for it a positive score."""
    text = "i was so sad but never happy"
    (attribution,) = attribute(shared("planted"), text, by=instance, targets="all", progress=False)
    scores = dict(zip(attribution.words, attribution.scores.T.tolist(), strict=True))
    assert scores["happy"][0] > 0 > scores["sad"][0], f"signs are lost: {scores}"
    assert scores["sad"][1] > 0 > scores["happy"][1], f"signs are lost: {scores}"


def only_what_is_declared_is_asked(method: Method, instance: Any) -> None:
    """It runs on a question that offers only what it declares to need."""
    question, _ = linear_world(7, 6, 2)
    _scores(instance, question if "gradients" in method.needs else _without_gradients(question))


class _NoGradients(FunctionRunner):
    """A runner that refuses to give gradients."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        raise AssertionError("it asks for gradients without declaring the need")


def _without_gradients(question: Question) -> Question:
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    refusing = _NoGradients(runner.function, question.x, question.baseline, question.unit_of)
    parts = {name: getattr(question, name) for name in ("x", "baseline", "unit_of", "units", "targets", "text")}
    return Question(refusing, **parts)


def repeats_are_equal(_method: Method, instance: Any) -> None:
    """The same call gives the same scores."""
    first, second = (_scores(instance, tangled_world()) for _ in range(2))
    assert torch.equal(first, second), (
        "the same call twice gave different scores; draw from a generator seeded by `seed`"
    )


def is_complete(_method: Method, instance: Any) -> None:
    """The scores add up to the difference between the text and the baseline."""
    question = tangled_world(4)
    gap = question.at(question.x[None]) - question.at(question.baseline[None])
    off = float((_scores(instance, question).sum(1) - gap[0]).abs().max() / gap.abs().max())
    assert off < 0.01, f"the scores miss the difference to the baseline by {off:.1%}"


class _OnlySlopes(FunctionRunner):
    """A runner that gives the gradient at the text itself once, and refuses everything else."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        assert x.shape[0] == 1 and torch.equal(x[0], self.x), "it asks for gradients elsewhere than at the text itself"
        assert not self.rows, "it asks for the gradient at the text more than once"
        return super().gradients(x)

    def masked(self, keep: Tensor) -> Tensor:
        raise AssertionError("it asks for scores, where it claims to need only the gradient at the text itself")


def two_texts_are_explained_as_one(_method: Method, instance: Any) -> None:
    """The sum of the scores of two texts, as one question with the features of both, is answered as the two are."""
    apart = [untidy_world(seed, units, 2)[0] for seed, units in ((1, 5), (2, 9))]
    border, units = len(apart[0].x), len(apart[0].units)
    one, other = (question.runner.function for question in apart)  # type: ignore[attr-defined]
    shifted = torch.where(apart[1].unit_of < 0, apart[1].unit_of, apart[1].unit_of + units)
    x, baseline = (torch.cat([getattr(question, name) for question in apart]) for name in ("x", "baseline"))
    unit_of = torch.cat([apart[0].unit_of, shifted])
    joint = Question(
        _OnlySlopes(lambda v: one(v[:, :border]) + other(v[:, border:]), x, baseline, unit_of),
        x=x,
        baseline=baseline,
        unit_of=unit_of,
        units=[*apart[0].units, *apart[1].units],
        targets=apart[0].targets,
    )
    expected = torch.cat([run_method(instance, question)[0] for question in apart], dim=1)
    off = float((run_method(instance, joint)[0] - expected).abs().max() / expected.abs().max())
    assert off < 1e-4, f"asked together, two texts get scores that are off by {off:.1%}"


def _claims(claim: Claim) -> Applies:
    return lambda method: method.kind == "attribution" and claim in method.claims and "components" not in method.needs


def needs_no_model(method: Method) -> bool:
    """An attribution method that works without a model: it does not need the inside of one."""
    return method.kind == "attribution" and not method.needs & {"internals", "components"}


def explains_any_function(method: Method) -> bool:
    """An attribution method whose scores are about the function, whatever it is."""
    return needs_no_model(method) and "ignores-model" not in method.claims


CHECKS = (
    Check(
        "scores are (targets, units) and finite",
        "Return one row for each target and one column for each unit, of one unit or of forty.",
        needs_no_model,
        shapes_are_right,
    ),
    Check(
        "what counts stands out",
        "Use the scores of the question; add up all features of a unit (question.pool), and none that are in no unit.",
        explains_any_function,
        what_counts_stands_out,
    ),
    Check(
        "another model gets other scores",
        "Use the scores of the question, and keep nothing from one call to the next.",
        explains_any_function,
        another_model_gets_other_scores,
    ),
    Check(
        "the model is ignored",
        "Use nothing of the question but its shape, or drop the claim 'ignores-model'.",
        _claims("ignores-model"),
        the_model_is_ignored,
    ),
    Check(
        "a linear score is explained exactly",
        "Compare with weight · (x - baseline), summed over the features of a unit.",
        _claims("signed"),
        linear_is_exact,
    ),
    Check("the order of units does not matter", "Treat units alike.", _claims("signed"), order_is_irrelevant),
    Check(
        "the planted word is first",
        "Use the scores of the question, and match units with features by `unit_of`.",
        _claims("signed"),
        planted_word_is_first,
    ),
    Check(
        "signs are kept",
        "Reduce by a sum, not by absolute values, or drop the claim 'signed'.",
        _claims("signed"),
        signs_are_kept,
    ),
    Check(
        "no score is below zero",
        "Give scores of at least 0, or drop the claim 'nonnegative'.",
        _claims("nonnegative"),
        scores_are_nonnegative,
    ),
    Check(
        "it asks only for what it declares",
        "Declare `needs`, such as frozenset({'gradients'}).",
        needs_no_model,
        only_what_is_declared_is_asked,
    ),
    Check(
        "the same call gives the same scores",
        "Draw from a generator seeded by `seed`.",
        needs_no_model,
        repeats_are_equal,
    ),
    Check(
        "scores add up to the difference explained",
        "Use more steps, or drop the claim 'complete'.",
        _claims("complete"),
        is_complete,
    ),
    Check(
        "two texts are explained as one",
        "Score each feature from its own value and its own gradient at the text, or drop the claim 'pointwise'.",
        _claims("pointwise"),
        two_texts_are_explained_as_one,
    ),
)
