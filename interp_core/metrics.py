"""How far to trust a result: the `measure` driver, with a random floor beside every number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from interp_core import registry
from interp_core.activations import Activations
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace, check_fits
from interp_core.errors import InputError, UnsupportedError
from interp_core.floors import RandomDirections, RandomFit
from interp_core.interpretation import Interpretation
from interp_core.measured import Measured, finished
from interp_core.model import TextModel
from interp_core.options import Options, take_options
from interp_core.plugin import Kind
from interp_core.provenance import Cost, made_again
from interp_core.score import Score as Score
from interp_core.split import SplitModel


def measure(result: Any, *what_produced_it: Any, by: Any, method: Any = None, **options: Any) -> Score:
    """A number for a result.

    Args:
        result: an `Attribution` or a list of them, a `ConceptSpace`, or an `Interpretation`.
        *what_produced_it: for attributions the `TextModel`, and for metrics that need labels what people marked: for
            each text a list of characters [start, stop); for a space the `Activations`; for an interpretation the
            space and the activations. Metrics of spaces that need them take the planted space and the `SplitModel`
            after the activations, in this order.
        by: the name of a metric, or an instance.
        method: for metrics that ask the method again, the one that made the result, where it is not installed.
        **options: for attributions, fields of `interp_core.options.Options` (probability scores, or the attributions'
            own where the metric is about those, and their own removal by default); the rest are parameters of the
            metric.

    Raises:
        InputError: nothing to measure, or not what produced it.
        UnsupportedError: the metric measures another kind of result.
    """
    if isinstance(result, Attribution):
        result = [result]
    kind = _kind(result)
    chosen, parameters = take_options(options) if kind == "attribution" else (Options(), options)
    metric = registry.resolve(by, "metric", parameters)
    declared = registry.declaration_of(metric)
    if declared and declared.measures != kind:
        raise UnsupportedError(f"{declared.name} measures {declared.measures}; a result of kind {kind!r} was given.")
    if kind == "attribution":
        needs = declared.needs if declared else getattr(metric, "needs", frozenset())
        labels = [None] * len(result)
        if "labels" in needs:
            (model, labels) = _expected(what_produced_it, TextModel, Sequence)
        else:
            (model,) = _expected(what_produced_it, TextModel)
        given = Measured(metric, list(result), model, needs, list(labels), method)
        return given.score(options, chosen)
    if kind == "concepts":
        needs = declared.needs if declared else getattr(metric, "needs", frozenset())
        return _of_space(metric, result, _beside(needs, result, what_produced_it, method))
    space, activations = _expected(what_produced_it, ConceptSpace, Activations)
    cost = Cost()
    with cost.timed():
        score = metric.measure(result, space, activations)
    return finished(score, metric, cost, activations.made_by.model, {})


def _beside(needs: frozenset[str], space: ConceptSpace, given: tuple[Any, ...], method: Any) -> dict[str, Any]:
    """What a metric of a space is given beside it, in order: the activations, then what it needs."""
    types = [Activations, *[t for need, t in (("truth", ConceptSpace), ("model", SplitModel)) if need in needs]]
    activations, *rest = _expected(given, *types)
    check_fits(space, activations)
    if "labels" in needs and activations.labels is None:
        raise InputError("this metric needs labels; make the activations with split.activations(…, labels=…).")
    found = dict(zip([need for need in ("truth", "model") if need in needs], rest, strict=True))
    if "model" in found and activations.layer not in ("given", found["model"].path):
        raise InputError(
            f"the activations are of {activations.layer!r}, the model is split at {found['model'].path!r}."
        )
    again = {"method": method or made_again(space.made_by, "concepts")} if "method" in needs else {}
    return {"activations": activations, **again, **found}


def _of_space(metric: Any, space: ConceptSpace, beside: dict[str, Any]) -> Score:
    cost = Cost()
    activations: Activations = beside["activations"]
    metric = metric.like(space, activations) if hasattr(metric, "like") else metric  # the same question for the floor
    floor = {**beside, "method": RandomFit(space.concepts)} if "method" in beside else beside
    with cost.timed(), torch.no_grad():
        score = metric.measure(space, *beside.values())
        random = metric.measure(RandomDirections.like(space, activations), *floor.values())
    full = space.concepts >= space.width and getattr(metric, "reconstructs", True)
    notes = ("No random floor: with as many concepts as dimensions random directions reconstruct everything.",)
    notes = score.notes + notes * full + _seen(metric, space)
    score = dataclasses.replace(score, floor=None if full else random.value, notes=notes)
    settings = {"rows": len(activations), "layer": activations.layer}
    return finished(score, metric, cost, activations.made_by.model, settings)


def _seen(metric: Any, space: ConceptSpace) -> tuple[str, ...]:
    """What to say of a number about labels, where the space was learnt from labels too."""
    declared = registry.declaration_of(metric)
    learnt = next((m for m in registry.methods("concepts") if m.name == space.made_by.method), None)
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
        wanted = ", ".join(t.__name__ for t in types)
        raise InputError(
            f"this result is measured with ({wanted}); ({', '.join(type(g).__name__ for g in given)}) was given."
        )
    return given
