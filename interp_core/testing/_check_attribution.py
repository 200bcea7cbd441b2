"""Checks of attribution methods, on planted worlds with known answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from interp_core.attribution import FunctionRunner, Question, attribute, explain
from interp_core.model import TextModel
from interp_core.plugin import Claim, Method
from interp_core.testing._check import Check
from interp_core.testing._planted_worlds import linear_world, tangled_world
from interp_core.testing._tiny_models import planted_model, state_of, tiny_classifier, tiny_generator
from torch import Tensor

TEXTS = ["i feel so happy today", "the old cat was never calm and always cold", "sad"]

FEW_SAMPLES = 64


def _scores(method: Any, question: Question) -> Tensor:
    return explain(method, question).scores


def shapes_are_right(_method: Method, instance: Any) -> None:
    """The shape is (targets, units) for one or many units and for one or several targets."""
    for units, targets in ((1, 1), (2, 3), (12, 2)):
        scores = _scores(instance, linear_world(1, units, targets)[0])
        assert tuple(scores.shape) == (targets, units), (
            f"{units} units and {targets} targets gave {tuple(scores.shape)}"
        )


def linear_is_exact(_method: Method, instance: Any) -> None:
    """On a linear score a signed method must return the contributions."""
    question, truth = linear_world(2, 8, 2)
    worst = float((_scores(instance, question) - truth).abs().max())
    assert worst < 1e-3, f"the contributions of a linear score are off by {worst:.2g}"


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
    """The only word that counts has the largest score."""
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    (attribution,) = attribute(model, "the cat was so happy today", by=instance, targets=0, progress=False)
    assert attribution.top()[0][0] == "happy", f"the planted word is not first: {attribution.top()}"


def signs_are_kept(_method: Method, instance: Any) -> None:
    """A word that counts against a class has a negative score, one that counts for it a positive score."""
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    (attribution,) = attribute(model, "i was so sad but never happy", by=instance, targets="all", progress=False)
    scores = dict(zip(attribution.words, attribution.scores.T.tolist(), strict=True))
    assert scores["happy"][0] > 0 > scores["sad"][0], f"signs are lost: {scores}"
    assert scores["sad"][1] > 0 > scores["happy"][1], f"signs are lost: {scores}"


def company_is_irrelevant(_method: Method, instance: Any) -> None:
    """A text has the same scores alone and together with others, on whichever side the tokenizer pads."""
    if getattr(instance, "samples", 0) > FEW_SAMPLES:
        instance = dataclasses.replace(instance, samples=FEW_SAMPLES)  # as good a test, and sooner done
    for model in (tiny_classifier(), tiny_generator()):
        alone = [attribute(model, text, by=instance, **_few(model))[0].scores for text in TEXTS]
        for side in ("left", "right"):
            padded = _padding(model, side)
            together = attribute(padded, TEXTS, by=instance, **_few(model))
            worst = max(float((a - t.scores).abs().max()) for a, t in zip(alone, together, strict=True))
            size = max(1.0, max(float(a.abs().max()) for a in alone))
            name = type(model.model).__name__
            assert worst < 1e-5 * size, f"{name}: other texts changed the scores by {worst:.2g} ({side} padding)"


def only_what_is_declared_is_asked(method: Method, instance: Any) -> None:
    """It runs on a question that offers only what it declares to need, and does not change the question."""
    question, _ = linear_world(7, 6, 2)
    before = question.x.clone(), question.baseline.clone()
    if "gradients" not in method.needs:
        question = _without_gradients(question)
    _scores(instance, question)
    unchanged = torch.equal(question.x, before[0]) and torch.equal(question.baseline, before[1])
    assert unchanged, "the features of the question were changed in place"


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


def nothing_is_changed(_method: Method, instance: Any) -> None:
    """Weights, flags, hooks, configuration and random states are the same after a call."""
    for model in (tiny_classifier(), tiny_generator()):
        model.model.train()
        before = state_of(model)
        attribute(model, TEXTS, by=instance, **_few(model))
        assert state_of(model) == before, f"{type(model.model).__name__} or a global state was changed"


def is_complete(_method: Method, instance: Any) -> None:
    """The scores add up to the difference between the text and the baseline."""
    question = tangled_world(4)
    gap = question.at(question.x[None]) - question.at(question.baseline[None])
    off = float((_scores(instance, question).sum(1) - gap[0]).abs().max() / gap.abs().max())
    assert off < 0.01, f"the scores miss the difference to the baseline by {off:.1%}"


def _few(model: TextModel) -> dict[str, Any]:
    return {"progress": False, "max_new_tokens": 3} if model.head == "causal" else {"progress": False, "targets": "all"}


def _padding(model: TextModel, side: str) -> TextModel:
    tokenizer = model.tokenizer
    padded = TextModel(model.model, tokenizer)
    padded.tokenizer.padding_side = side
    return padded


def _is_attribution(method: Method) -> bool:
    return method.kind == "attribution"


def _claims(claim: Claim) -> Any:
    return lambda method: method.kind == "attribution" and claim in method.claims


def _needs_no_model(method: Method) -> bool:
    """An attribution method that works without a model: it does not need the inside of one."""
    return method.kind == "attribution" and "internals" not in method.needs


CHECKS = (
    Check(
        "scores are (targets, units) and finite",
        "Return one row for each target and one column for each unit.",
        _needs_no_model,
        shapes_are_right,
    ),
    Check(
        "a linear score is explained exactly",
        "Compare with weight · (x - baseline).",
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
        "other texts beside it do not matter",
        "Use only the question; keep no state.",
        _is_attribution,
        company_is_irrelevant,
    ),
    Check(
        "it asks only for what it declares",
        "Declare `needs`, such as frozenset({'gradients'}); never write into x.",
        _needs_no_model,
        only_what_is_declared_is_asked,
    ),
    Check(
        "the same call gives the same scores",
        "Draw from a generator seeded by `seed`.",
        _needs_no_model,
        repeats_are_equal,
    ),
    Check(
        "nothing of the user's is changed",
        "Use only the question, and never the global random state.",
        _is_attribution,
        nothing_is_changed,
    ),
    Check(
        "scores add up to the difference explained",
        "Use more steps, or drop the claim 'complete'.",
        _claims("complete"),
        is_complete,
    ),
)
