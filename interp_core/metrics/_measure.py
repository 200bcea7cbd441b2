"""The verb `measure`, which gives the score of a result with its chance level."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from interp_core.activations import Activations
from interp_core.attribution import Attribution, Removal, StoredAttributions
from interp_core.concepts import ConceptSpace, Interpretation, check_fits, check_layer
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics._attribution_metrics import finished, measured_by
from interp_core.metrics._metric_run import score_of
from interp_core.metrics._random_baselines import RandomDirections, RandomFit
from interp_core.metrics._score import Score as Score
from interp_core.metrics._text_score import Choices
from interp_core.model import ServedModel, SplitModel, WrappedModel
from interp_core.plugin import Kind, declaration_of, methods, named_options, resolve
from interp_core.results import SHARD_SIZE, Cost, made_again

MODEL = (WrappedModel, ServedModel)


@named_options
def measure(
    result: Any,
    *what_produced_it: Any,
    by: Any,
    method: Any = None,
    score: str | None = None,
    removal: Removal | None = None,
    max_rows: int | Literal["as before"] | None = "as before",
    chance: bool = True,
    to: str | Path | None = None,
    executor: Any = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
    **parameters: Any,
) -> Score:
    """Measure a result with a metric, and compare it with the chance level.

    Args:
        result: an `Attribution`, a list of them, those that `attribute` has written to a folder, or with `to` or
            `executor` an iterator over them; a `ConceptSpace`; or an `Interpretation`.
        *what_produced_it: for attributions, the `TextModel`, and for metrics that need labels the human annotation: a
            list of character spans [start, stop) for each text. For a space, its `Activations`, then the planted space
            and the `SplitModel` if the metric needs them. For an interpretation, the space and the activations.
        by: a metric, by name or as an instance.
        method: for metrics that run the method again, the method that made the result, if it is not installed.
        score: for attributions, the score space to measure in, such as `"logit"`. By default probabilities, or the
            space of the attributions if the metric depends on it.
        removal: for attributions, what replaces an absent unit. By default the removal of the attributions.
        max_rows: for attributions, the maximum number of model rows for each text; `"as before"` is the limit that the
            attributions were made with, None is no limit.
        chance: whether to measure random answers too, for the chance level. For attributions these are at least four
            random orders of each text and thirty in all, at several times the cost of the score.
        to: for attributions, a folder in which the scores of texts are written as they are measured; the same call
            resumes a run that was interrupted.
        executor: for attributions, where shards of texts are processed, as in `attribute`.
        shard_size: for attributions in a folder or from an iterator, and with `to` or `executor`, the number of texts
            that are measured together.
        progress: show a progress bar in a terminal or notebook; for attributions only.
        **parameters: parameters of the metric, if `by` is a name.

    Returns:
        The score, with its chance level unless `chance` is False. A space with as many concepts as dimensions has no
        chance level if the metric measures reconstruction. The chance level of an interpretation is the one that its
        metric provides, such as the score of labels permuted across concepts.

    Raises:
        InputError: `result` cannot be measured, `what_produced_it` does not fit it, or an option does not apply to it.
        UnsupportedError: the metric measures another kind of result, or needs what this result does not have.
        UnknownMethodError: no installed package declares a metric of this name.
        BudgetError: the metric needs more rows than `max_rows` allows.
        ModelError: the metric returned something other than a `Score` with a finite value, or modified its arguments.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> texts = ["i was so happy today", "i was very sad and tired"]
        >>> attributions = interp.attribute(model, texts, by="occlusion", progress=False)
        >>> score = interp.measure(attributions, model, by="insertion", progress=False)
        >>> score.higher_is_better, score.value > score.chance
        (True, True)
    """
    if isinstance(result, Attribution):
        result = [result]
    large = to is not None or executor is not None
    kind = "attribution" if large and isinstance(result, Iterator) else _kind(result)
    metric = resolve(by, "metric", parameters, measure)
    declared = declaration_of(metric)
    if declared and declared.measures != kind:
        raise UnsupportedError(f"{declared.name} measures {declared.measures}; a result of kind {kind!r} was given.")
    needs = declared.needs if declared else getattr(metric, "needs", frozenset())
    if kind == "attribution":
        labels = None
        if "labels" in needs:
            (model, labels) = _expected(what_produced_it, MODEL, Iterable if large else Sequence)
        else:
            (model,) = _expected(what_produced_it, MODEL)
        return score_of(
            metric,
            list(result) if isinstance(result, list | tuple) else result,
            model,
            labels,
            needs=needs,
            method=method,
            choices=Choices(score, removal, max_rows, progress),
            chance=chance,
            to=to,
            executor=executor,
            shard_size=shard_size,
        )
    named = {"score": score, "removal": removal, "to": to, "executor": executor}
    options = [name for name, value in named.items() if value is not None]
    if options or max_rows != "as before":
        raise InputError(f"{(options or ['max_rows'])[0]} is an option for attributions; leave it out.")
    if kind == "concepts":
        return _of_space(metric, result, _arguments(needs, result, what_produced_it, method), chance)
    space, activations = _expected(what_produced_it, ConceptSpace, Activations)
    if (
        not chance and dataclasses.is_dataclass(metric) and getattr(metric, "permuted", False)
    ):  # it asks about permuted labels too
        metric = dataclasses.replace(metric, permuted=False)  # type: ignore[type-var]
    cost = Cost()
    with cost.timed():
        measured = measured_by(metric, result, space, activations)
    settings = {"concepts": [one.concept for one in result], "layer": activations.layer}
    return finished(measured, metric, cost, activations.made_by.model, settings)


def _arguments(needs: frozenset[str], space: ConceptSpace, inputs: tuple[Any, ...], method: Any) -> dict[str, Any]:
    """The arguments of a metric of spaces after the space, in order: the activations, the method, then other needs.

    Raises:
        InputError: the inputs do not fit the space or the metric.
    """
    types = [Activations, *[t for need, t in (("truth", ConceptSpace), ("model", SplitModel)) if need in needs]]
    activations, *rest = _expected(inputs, *types)
    check_fits(space, activations)
    if "labels" in needs and activations.labels is None:
        raise InputError("this metric needs labels; make the activations with split.activations(…, labels=…).")
    others = dict(zip([need for need in ("truth", "model") if need in needs], rest, strict=True))
    if "model" in others:
        check_layer(others["model"], activations)
    fitted_by = {"method": method or made_again(space.made_by, "concepts")} if "method" in needs else {}
    return {"activations": activations, **fitted_by, **others}


def _of_space(metric: Any, space: ConceptSpace, arguments: dict[str, Any], chance: bool) -> Score:
    """The score of a space, with that of random directions as its chance level if it is asked for."""
    cost = Cost()
    activations: Activations = arguments["activations"]
    if hasattr(metric, "like"):  # settings derived from the space must also hold for the random answer
        metric = metric.like(space, activations)
    at_random = {**arguments, "method": RandomFit(space.concepts)} if "method" in arguments else arguments
    full = chance and space.concepts >= space.width and getattr(metric, "reconstructs", True)
    random = None
    with cost.timed(), torch.no_grad():
        score = measured_by(metric, space, *arguments.values())
        if chance and not full:
            random = measured_by(metric, RandomDirections.like(space, activations), *at_random.values()).value
    unknown = "No chance level: with as many concepts as dimensions, random directions reconstruct everything."
    notes = score.notes + (unknown,) * full + _overlap_note(metric, space)
    score = dataclasses.replace(score, chance=random, notes=notes)
    settings = {"rows": len(activations), "layer": activations.layer}
    return finished(score, metric, cost, activations.made_by.model, settings)


def _overlap_note(metric: Any, space: ConceptSpace) -> tuple[str, ...]:
    """A note if the metric compares with labels and the space was learnt from labels too."""
    declared = declaration_of(metric)
    learnt_by = next((m for m in methods("concepts") if m.name == space.made_by.method), None)
    if declared is None or learnt_by is None or "labels" not in declared.needs & learnt_by.needs:
        return ()
    return ("The space was learnt from labels. The score is too good unless these texts are new to it.",)


def _kind(result: Any) -> Kind:
    if isinstance(result, ConceptSpace):
        return "concepts"
    if isinstance(result, Interpretation):
        return "interpretation"
    if isinstance(result, StoredAttributions):
        return "attribution"
    if isinstance(result, Sequence) and result and all(isinstance(a, Attribution) for a in result):
        return "attribution"
    if isinstance(result, Sequence) and not isinstance(result, str):
        held = sorted({type(one).__name__ for one in result if not isinstance(one, Attribution)})
        what = f"a list with {', '.join(held)}" if held else "an empty list"
        raise InputError(f"{what} cannot be measured; a list of at least one Attribution was expected.")
    raise InputError(
        f"{type(result).__name__} cannot be measured; attributions, a ConceptSpace or an Interpretation can."
    )


def _expected(inputs: tuple[Any, ...], *types: Any) -> tuple[Any, ...]:
    """The inputs.

    Raises:
        InputError: they are not of the types expected.
    """
    if len(inputs) != len(types) or not all(isinstance(value, t) for value, t in zip(inputs, types, strict=True)):
        expected = ", ".join("TextModel" if t is MODEL else t.__name__ for t in types)
        raise InputError(
            f"this result is measured with ({expected}); ({', '.join(type(v).__name__ for v in inputs)}) was given."
        )
    return inputs
