"""How far to trust a result: the `measure` driver, with a random floor beside every number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from interp_core import registry
from interp_core.activations import Activations
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError, UnsupportedError
from interp_core.floors import RandomDirections
from interp_core.interpretation import Interpretation
from interp_core.measured import Measured, finished
from interp_core.model import TextModel
from interp_core.options import Options, take_options
from interp_core.plugin import Kind
from interp_core.provenance import Cost
from interp_core.score import Score as Score


def measure(result: Any, *what_produced_it: Any, by: Any, method: Any = None, **options: Any) -> Score:
    """A number for a result.

    Args:
        result: an `Attribution` or a list of them, a `ConceptSpace`, or an `Interpretation`.
        *what_produced_it: for attributions the `TextModel`, and for metrics that need labels what people marked: for
            each text a list of characters [start, stop); for a space the `Activations`; for an interpretation the
            space and the activations.
        by: the name of a metric, or an instance.
        method: for metrics that ask the method again, the one that made the attributions, where it is not installed.
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
        (activations,) = _expected(what_produced_it, Activations)
        return _of_space(metric, result, activations)
    space, activations = _expected(what_produced_it, ConceptSpace, Activations)
    cost = Cost()
    with cost.timed():
        score = metric.measure(result, space, activations)
    return finished(score, metric, cost, activations.made_by.model, {})


def _of_space(metric: Any, space: ConceptSpace, activations: Activations) -> Score:
    cost = Cost()
    with cost.timed(), torch.no_grad():
        score = metric.measure(space, activations)
        random = metric.measure(RandomDirections.like(space, activations), activations)
    full = space.concepts >= space.width  # as many random directions as there are dimensions lose nothing
    notes = ("No random floor: with as many concepts as dimensions random directions reconstruct everything.",)
    score = dataclasses.replace(score, floor=None if full else random.value, notes=score.notes + notes * full)
    settings = {"rows": len(activations), "layer": activations.layer}
    return finished(score, metric, cost, activations.made_by.model, settings)


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
