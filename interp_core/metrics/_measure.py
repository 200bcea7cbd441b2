"""How far to trust a result: the verb `measure`, with what a random answer gets beside every number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import torch
from interp_core.activations import Activations
from interp_core.attribution import Attribution, Removal
from interp_core.concepts import ConceptSpace, Interpretation, check_fits, check_layer
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics._attribution_metrics import AttributionMetricRun, finished
from interp_core.metrics._random_baselines import RandomDirections, RandomFit
from interp_core.metrics._score import Score as Score
from interp_core.model import SplitModel, WrappedModel
from interp_core.plugin import Kind, declaration_of, methods, resolve
from interp_core.results import Cost, made_again


def measure(
    result: Any,
    *what_produced_it: Any,
    by: Any,
    method: Any = None,
    score: str | None = None,
    removal: Removal | None = None,
    max_rows: int | Literal["as before"] | None = "as before",
    progress: bool = True,
    **parameters: Any,
) -> Score:
    """A number for a result.

    Args:
        result: an `Attribution` or a list of them, a `ConceptSpace`, or an `Interpretation`.
        *what_produced_it: for attributions the `TextModel`, and for metrics that need labels what people marked: for
            each text a list of characters [start, stop); for a space the `Activations`; for an interpretation the
            space and the activations. Metrics of spaces that need them take the planted space and the `SplitModel`
            after the activations, in this order.
        by: the name of a metric, or an instance.
        method: for metrics that ask the method again, the one that made the result, where it is not installed.
        score: of attributions, the score space to measure in; by default probabilities, or the attributions' own space
            where the metric is about those.
        removal: of attributions, what an absent unit is; by default as the attributions were made.
        max_rows: of attributions, the most rows of the model that one text may take; `"as before"` for the limit that
            the attributions were made with, None for no limit.
        progress: show a bar on a terminal or notebook.
        **parameters: parameters of the metric, when `by` is a name.

    Raises:
        InputError: nothing to measure, or not what produced it.
        UnsupportedError: the metric measures another kind of result.
    """
    if isinstance(result, Attribution):
        result = [result]
    kind = _kind(result)
    metric = resolve(by, "metric", parameters, measure)
    declared = declaration_of(metric)
    if declared and declared.measures != kind:
        raise UnsupportedError(f"{declared.name} measures {declared.measures}; a result of kind {kind!r} was given.")
    needs = declared.needs if declared else getattr(metric, "needs", frozenset())
    if kind == "attribution":
        labels = [None] * len(result)
        if "labels" in needs:
            (model, labels) = _expected(what_produced_it, WrappedModel, Sequence)
        else:
            (model,) = _expected(what_produced_it, WrappedModel)
        run = AttributionMetricRun(metric, list(result), model, needs, list(labels), method)
        return run.score(score, removal, max_rows, progress)
    asked = [name for name, value in (("score", score), ("removal", removal)) if value is not None]
    if asked or max_rows != "as before":
        raise InputError(f"{(asked or ['max_rows'])[0]} is an option for attributions; leave it out.")
    if kind == "concepts":
        return _of_space(metric, result, _beside(needs, result, what_produced_it, method))
    space, activations = _expected(what_produced_it, ConceptSpace, Activations)
    cost = Cost()
    with cost.timed():
        number = metric.measure(result, space, activations)
    return finished(number, metric, cost, activations.made_by.model, {})


def _beside(needs: frozenset[str], space: ConceptSpace, given: tuple[Any, ...], method: Any) -> dict[str, Any]:
    """What a metric of a space is given beside it, in order: the activations, then what it needs."""
    types = [Activations, *[t for need, t in (("truth", ConceptSpace), ("model", SplitModel)) if need in needs]]
    activations, *rest = _expected(given, *types)
    check_fits(space, activations)
    if "labels" in needs and activations.labels is None:
        raise InputError("this metric needs labels; make the activations with split.activations(…, labels=…).")
    beside = dict(zip([need for need in ("truth", "model") if need in needs], rest, strict=True))
    if "model" in beside:
        check_layer(beside["model"], activations)
    again = {"method": method or made_again(space.made_by, "concepts")} if "method" in needs else {}
    return {"activations": activations, **again, **beside}


def _of_space(metric: Any, space: ConceptSpace, beside: dict[str, Any]) -> Score:
    cost = Cost()
    activations: Activations = beside["activations"]
    metric = (
        metric.like(space, activations) if hasattr(metric, "like") else metric
    )  # the same question for the random answer
    chance = {**beside, "method": RandomFit(space.concepts)} if "method" in beside else beside
    with cost.timed(), torch.no_grad():
        score = metric.measure(space, *beside.values())
        random = metric.measure(RandomDirections.like(space, activations), *chance.values())
    full = space.concepts >= space.width and getattr(metric, "reconstructs", True)
    notes = ("No chance level: with as many concepts as dimensions random directions reconstruct everything.",)
    notes = score.notes + notes * full + _seen(metric, space)
    score = dataclasses.replace(score, chance=None if full else random.value, notes=notes)
    settings = {"rows": len(activations), "layer": activations.layer}
    return finished(score, metric, cost, activations.made_by.model, settings)


def _seen(metric: Any, space: ConceptSpace) -> tuple[str, ...]:
    """What to say of a number about labels, where the space was learnt from labels too."""
    declared = declaration_of(metric)
    learnt = next((m for m in methods("concepts") if m.name == space.made_by.method), None)
    if declared is None or learnt is None or "labels" not in declared.needs & learnt.needs:
        return ()
    return ("The space was learnt from labels. Measure it on texts that it was not learnt from, or it is too good.",)


def _kind(result: Any) -> Kind:
    if isinstance(result, ConceptSpace):
        return "concepts"
    if isinstance(result, Interpretation):
        return "interpretation"
    if isinstance(result, Sequence) and result and all(isinstance(a, Attribution) for a in result):
        return "attribution"
    raise InputError(
        f"{type(result).__name__} cannot be measured; attributions, a ConceptSpace or an Interpretation can."
    )


def _expected(given: tuple[Any, ...], *types: type) -> tuple[Any, ...]:
    if len(given) != len(types) or not all(isinstance(g, t) for g, t in zip(given, types, strict=True)):
        wanted = ", ".join("TextModel" if t is WrappedModel else t.__name__ for t in types)
        raise InputError(
            f"this result is measured with ({wanted}); ({', '.join(type(g).__name__ for g in given)}) was given."
        )
    return given
