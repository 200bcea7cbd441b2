"""Checks of attribution methods, on worlds whose answers are known."""

from __future__ import annotations

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


def _scores(method: Any, question: Question) -> Tensor:
    return explain(method, question).scores


def shapes_are_right(_method: Method, instance: Any) -> None:
    """One unit, many units; one target, several."""
    for units, targets in ((1, 1), (2, 3), (12, 2)):
        scores = _scores(instance, linear_world(1, units, targets)[0])
        assert tuple(scores.shape) == (targets, units), (
            f"{units} units and {targets} targets gave {tuple(scores.shape)}"
        )


def linear_is_exact(_method: Method, instance: Any) -> None:
    """On a linear score every signed method must find the contributions themselves."""
    question, truth = linear_world(2, 8, 2)
    worst = float((_scores(instance, question) - truth).abs().max())
    assert worst < 1e-3, f"the contributions of a linear score are off by {worst:.2g}"


def order_is_irrelevant(_method: Method, instance: Any) -> None:
    """Units in another order get the same scores in that order."""
    question, _ = linear_world(3, 8, 2)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    moved = FunctionRunner(
        lambda v: runner.function(v[:, order.argsort()]), question.x[order], question.baseline[order], question.unit_of
    )
    units = [question.units[i] for i in order]
    other = Question(
        moved, x=moved.x, baseline=moved.baseline, unit_of=moved.unit_of, units=units, targets=question.targets
    )
    worst = float((_scores(instance, other) - _scores(instance, question)[:, order]).abs().max())
    assert worst < 1e-3, f"another order of the units moved scores by {worst:.2g}"


def planted_word_is_first(_method: Method, instance: Any) -> None:
    """The only word that is worth anything."""
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    (found,) = attribute(model, "the cat was so happy today", by=instance, targets=0, progress=False)
    assert found.top()[0][0] == "happy", f"the planted word is not first: {found.top()}"


def signs_are_kept(_method: Method, instance: Any) -> None:
    """A word against the class has a negative score, one for it a positive."""
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    (found,) = attribute(model, "i was so sad but never happy", by=instance, targets="all", progress=False)
    scores = dict(zip(found.words, found.scores.T.tolist(), strict=True))
    assert scores["happy"][0] > 0 > scores["sad"][0], f"signs are lost: {scores}"
    assert scores["sad"][1] > 0 > scores["happy"][1], f"signs are lost: {scores}"


def company_is_irrelevant(_method: Method, instance: Any) -> None:
    """Alone or among others, whatever side the tokenizer pads."""
    for model in (tiny_classifier(), tiny_generator()):
        alone = [attribute(model, text, by=instance, **_few(model))[0].scores for text in TEXTS]
        for side in ("left", "right"):
            padded = _padding(model, side)
            together = attribute(padded, TEXTS, by=instance, **_few(model))
            worst = max(float((a - t.scores).abs().max()) for a, t in zip(alone, together, strict=True))
            size = max(1.0, max(float(a.abs().max()) for a in alone))
            assert worst < 1e-5 * size, (
                f"{type(model.model).__name__}: other texts beside it moved scores by {worst:.2g} ({side} padding)"
            )


def only_what_is_declared_is_asked(method: Method, instance: Any) -> None:
    """Without what it does not declare to need, and with the question left as it is."""
    question, _ = linear_world(7, 6, 2)
    before = question.x.clone(), question.baseline.clone()
    if "gradients" not in method.needs:
        question = _without_gradients(question)
    _scores(instance, question)
    same = torch.equal(question.x, before[0]) and torch.equal(question.baseline, before[1])
    assert same, "the features of the question were changed in place"


class _NoGradients(FunctionRunner):
    """A runner whose gradients must not be asked for."""

    def gradients(self, x: Tensor) -> Iterator[Tensor]:
        raise AssertionError("it asks for gradients and does not declare it")


def _without_gradients(question: Question) -> Question:
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    refusing = _NoGradients(runner.function, question.x, question.baseline, question.unit_of)
    same = {name: getattr(question, name) for name in ("x", "baseline", "unit_of", "units", "targets", "text")}
    return Question(refusing, **same)


def repeats_are_equal(_method: Method, instance: Any) -> None:
    """The same call twice."""
    first, second = (_scores(instance, tangled_world()) for _ in range(2))
    assert torch.equal(first, second), (
        "the same call twice gave different scores; draw from a generator seeded by `seed`"
    )


def nothing_is_changed(_method: Method, instance: Any) -> None:
    """Model, tokenizer and random states after a call."""
    for model in (tiny_classifier(), tiny_generator()):
        model.model.train()
        before = state_of(model)
        attribute(model, TEXTS, by=instance, **_few(model))
        assert state_of(model) == before, f"{type(model.model).__name__} or a global state is not what it was"


def is_complete(_method: Method, instance: Any) -> None:
    """The scores add up to the difference that is explained."""
    question = tangled_world(4)
    gap = question.at(question.x[None]) - question.at(question.baseline[None])
    off = float((_scores(instance, question).sum(1) - gap[0]).abs().max() / gap.abs().max())
    assert off < 0.01, f"the scores miss the difference to the baseline by {off:.1%}"


def _few(model: TextModel) -> dict[str, Any]:
    return {"progress": False, "max_new_tokens": 3} if model.head == "causal" else {"progress": False, "targets": "all"}


def _padding(model: TextModel, side: str) -> TextModel:
    tokenizer = model.tokenizer
    again = TextModel(model.model, tokenizer)
    again.tokenizer.padding_side = side
    return again


def _kind(method: Method) -> bool:
    return method.kind == "attribution"


def _claims(claim: Claim) -> Any:
    return lambda method: method.kind == "attribution" and claim in method.claims


def _anything(method: Method) -> bool:
    """Asked about a plain function as well; what looks into a model cannot be."""
    return method.kind == "attribution" and "internals" not in method.needs


CHECKS = (
    Check(
        "scores are (targets, units) and finite",
        "Return one row a target, one column a unit.",
        _anything,
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
        "Is the score used, and are units matched with features?",
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
        "other texts beside it do not matter", "Use the question alone; keep no state.", _kind, company_is_irrelevant
    ),
    Check(
        "it asks only for what it declares",
        "Declare `needs`, such as frozenset({'gradients'}); never write into x.",
        _anything,
        only_what_is_declared_is_asked,
    ),
    Check(
        "the same call gives the same scores", "Draw from a generator seeded by `seed`.", _anything, repeats_are_equal
    ),
    Check(
        "nothing of the user's is changed",
        "Use the question; never the global random state.",
        _kind,
        nothing_is_changed,
    ),
    Check(
        "scores add up to the difference explained",
        "More steps, or drop the claim 'complete'.",
        _claims("complete"),
        is_complete,
    ),
)
