"""Checks of attribution methods on tiny models: shared passes, wrappers, precision, and state of the user's model."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from interp_core.attribution import attribute
from interp_core.errors import UnsupportedError
from interp_core.model import TextModel
from interp_core.plugin import Method, declaration_of
from interp_core.testing._calls import OF_COMPONENTS
from interp_core.testing._check import Check
from interp_core.testing._shared_models import shared
from interp_core.testing._tiny_models import state_of, tiny_classifier, tiny_generator
from torch import Tensor

TEXTS = ["i feel so happy today", "the old cat was never calm and always cold", "sad"]
HEADS, SIDES = ("classifier", "generator"), ("left", "right")
FEW_SAMPLES = 64
_alone: dict[tuple[type, str], list[list[Tensor]]] = {}  # of the method that was checked last


def quick(instance: Any) -> Any:
    """The method with few samples: as good a test, and sooner done."""
    if getattr(instance, "samples", 0) > FEW_SAMPLES:
        return dataclasses.replace(instance, samples=FEW_SAMPLES)
    return instance


def _scores_alone(instance: Any) -> list[list[Tensor]]:
    """The scores of each text by itself, of the classifier and of the generator."""
    key = (type(instance), repr(instance))
    if key not in _alone:
        _alone.clear()
        models = map(shared, _heads(instance))
        _alone[key] = [[_scores(model, text, instance)[0] for text in TEXTS] for model in models]
    return _alone[key]


def _heads(instance: Any) -> tuple[str, ...]:
    """The heads that a method is tried on: components need not have a part of their own in every classifier."""
    return HEADS[1:] if _of_components(instance) else HEADS


def _of_components(instance: Any) -> bool:
    declared = declaration_of(instance)
    return declared is not None and "components" in declared.needs


def _scores(model: TextModel, texts: Any, instance: Any) -> list[Tensor]:
    more: dict[str, Any] = {"max_new_tokens": 3} if model.head == "causal" else {"targets": "all"}
    more |= OF_COMPONENTS if _of_components(instance) else {"progress": False}
    return [a.scores for a in attribute(model, texts, by=instance, **more)]


def _worst(ones: list[Tensor], others: list[Tensor]) -> float:
    """The largest difference, relative to the largest score."""
    size = max(1.0, *(float(one.abs().max()) for one in ones))
    return max(float((one - other).abs().max()) for one, other in zip(ones, others, strict=True)) / size


def company_is_irrelevant(method: Method, instance: Any) -> None:
    """A text has the same scores alone and together with others, on whichever side the tokenizer pads."""
    instance = quick(instance)
    for i, (head, alone) in enumerate(zip(_heads(instance), _scores_alone(instance), strict=True)):
        for side in SIDES if "internals" in method.needs else SIDES[i : i + 1]:  # of padding others see nothing
            worst = _worst(alone, _scores(shared(f"{head} padded {side}"), TEXTS, instance))
            assert worst < 1e-5, f"{head}: other texts changed the scores by {worst:.2g} ({side} padding)"


def a_wrapper_is_irrelevant(_method: Method, instance: Any) -> None:
    """A model behind a wrapper has the same scores, or is refused."""
    instance = quick(instance)
    try:
        scores = _scores(shared("wrapped classifier"), TEXTS[:1], instance)
    except UnsupportedError:  # the inside of a wrapped model may be out of reach, and then it says so
        return
    worst = _worst(_scores_alone(instance)[0][:1], scores)
    assert worst < 1e-5, f"a wrapper around the model changed the scores by {worst:.2g}"


def half_precision_works(_method: Method, instance: Any) -> None:
    """A bfloat16 model has finite scores."""
    _scores(shared(f"bfloat16 {_heads(instance)[0]}"), TEXTS[:1], quick(instance))


def inside_matters(_method: Method, instance: Any) -> None:
    """A model with other weights gets other scores."""
    model = shared(f"other {_heads(instance)[0]}")
    one, other = _scores_alone(quick(instance))[0][0], _scores(model, TEXTS[0], quick(instance))[0]
    assert not torch.equal(one, other), "a model with other weights got the same scores"


def nothing_is_changed(_method: Method, instance: Any) -> None:
    """Weights, flags, hooks, configuration and random states are the same after a call."""
    for model in (tiny_classifier(), tiny_generator())[-len(_heads(instance)) :]:
        model.model.train()
        before = state_of(model)
        _scores(model, TEXTS[::2], instance)
        assert state_of(model) == before, f"{type(model.model).__name__} or a global state was changed"


def _is_attribution(method: Method) -> bool:
    return method.kind == "attribution"


CHECKS = (
    Check(
        "other texts beside it do not matter",
        "Use only the question; keep no state.",
        _is_attribution,
        company_is_irrelevant,
    ),
    Check(
        "a wrapper around the model does not matter",
        "Ask the question, or question.internals, and never for modules by their names; else raise UnsupportedError.",
        lambda method: _is_attribution(method) and "components" not in method.needs,
        a_wrapper_is_irrelevant,
    ),
    Check(
        "a bfloat16 model is explained",
        "Compute with the features and slopes of the question, which are float32; convert weights of the model.",
        _is_attribution,
        half_precision_works,
    ),
    Check(
        "another model gets other scores",
        "Use what the model computes, and keep nothing from one call to the next.",
        lambda method: _is_attribution(method) and bool(method.needs & {"internals", "components"}),
        inside_matters,
    ),
    Check(
        "nothing of the user's is changed",
        "Use only the question, and never the global random state.",
        _is_attribution,
        nothing_is_changed,
    ),
)
