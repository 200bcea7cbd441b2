"""How far to trust a result: the `Score` value and the `measure` driver, with a random floor beside every number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from interp_core import registry
from interp_core.activations import Activations
from interp_core.asking import Prepared, Session
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.floors import RandomDirections, interval_of_mean
from interp_core.interpretation import Interpretation
from interp_core.model import TextModel
from interp_core.options import Options, take_options
from interp_core.plugin import Kind
from interp_core.provenance import Cost, MadeBy, made_by
from interp_core.question import Question
from interp_core.targets import readout_of
from jaxtyping import Float
from torch import Tensor

RANDOM_ORDERS = 30


@dataclass(frozen=True, eq=False)
class Score:
    """One number for a result, with what it takes to read it.

    Attributes:
        value: the number.
        higher_is_better: the direction; None where neither is better.
        values: one for each input and target (n); the value is the mean over inputs. None for a number of the whole.
        interval: 95 % interval of the mean over inputs (Student's t); None for fewer than five.
        floor: what a random answer gets: random orders of units, or random directions in place of concepts.
        name: the metric.
        definition: the number in words, with its parameters.
    """

    value: float
    higher_is_better: bool | None
    values: Float[Tensor, " n"] | None = None
    interval: tuple[float, float] | None = None
    floor: float | None = None
    name: str = ""
    definition: str = ""
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        direction = {True: ", higher is better", False: ", lower is better", None: ""}[self.higher_is_better]
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else ""
        floor = f" (random: {self.floor:.3f})" if self.floor is not None else ""
        return f"{self.name} {self.value:.3f}{interval}{floor}{direction}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("values", "made_by")}
        return {
            **plain,
            "values": None if self.values is None else self.values.tolist(),
            "made_by": self.made_by.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Score:
        """The value that `to_json` described."""
        values = data["values"]
        return cls(
            **{
                **data,
                "values": None if values is None else torch.tensor(values),
                "interval": None if data["interval"] is None else tuple(data["interval"]),
                "notes": tuple(data["notes"]),
                "made_by": MadeBy.from_json(data["made_by"]),
            }
        )

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


def measure(result: Any, *what_produced_it: Any, by: Any, **options: Any) -> Score:
    """A number for a result.

    Args:
        result: an `Attribution` or a list of them, a `ConceptSpace`, or an `Interpretation`.
        *what_produced_it: for attributions the `TextModel`; for a space the `Activations`; for an interpretation the
            space and the activations.
        by: the name of a metric, or an instance.
        **options: for attributions, fields of `interp_core.options.Options` (probability scores and the attribution's
            own removal by default); the rest are parameters of the metric.

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
        (model,) = _expected(what_produced_it, TextModel)
        return _of_attributions(metric, list(result), model, options, chosen)
    if kind == "concepts":
        (activations,) = _expected(what_produced_it, Activations)
        return _of_space(metric, result, activations)
    space, activations = _expected(what_produced_it, ConceptSpace, Activations)
    cost = Cost()
    with cost.timed():
        score = metric.measure(result, space, activations)
    return _finished(score, metric, cost, activations.made_by.model, {})


def _of_attributions(
    metric: Any, attributions: list[Attribution], model: TextModel, given: dict[str, Any], options: Options
) -> Score:
    removal = _removal_of(attributions, given)
    space = "logit" if model.head == "regression" else "probability"
    defaults: dict[str, Any] = {"score": given.get("score", space), "removal": removal}
    made_on = {a.made_by.model for a in attributions} - {""}
    if made_on and made_on != {model.name}:
        raise InputError(
            f"the attributions are of {', '.join(sorted(made_on))}, the model is {model.name}; give that one."
        )
    session = Session(model, dataclasses.replace(options, layer=None, **defaults))
    prepared = [_prepared(a, session) for a in attributions]
    draws = max(1, math.ceil(RANDOM_ORDERS / len(attributions)))

    def job(i: int, ask: Any) -> tuple[Tensor, Tensor]:
        return _one(metric, attributions[i], session.question(prepared[i], ask=ask), draws, i)

    longest = max(len(p.encoded) for p in prepared)
    found = session.run(
        [partial(job, i) for i in range(len(prepared))], f"measure by {type(metric).__name__.lower()}", longest
    )
    values = torch.cat([v for v, _ in found])
    floor = float(torch.stack([f.mean() for _, f in found]).mean())
    means = torch.stack([v.mean() for v, _ in found])  # a text counts once, however many targets it has
    score = Score(
        float(means.mean()),
        metric.higher_is_better,
        values,
        interval_of_mean(means),
        floor,
    )
    settings = {"score": prepared[0].space, "removal": prepared[0].removal, "texts": len(found), "random orders": draws}
    return _finished(score, metric, session.cost, model.name, settings)


def _removal_of(attributions: Sequence[Attribution], given: dict[str, Any]) -> Any:
    """The removal that was asked for, or else the one that the attributions were made with."""
    if "removal" in given:
        return given["removal"]
    names = {str(a.made_by.settings.get("removal", "auto")).split()[0] for a in attributions}
    if len(names) > 1 or names & {"tensor"}:
        raise InputError(
            f"the attributions were made with removal {', '.join(sorted(names))}; say removal=… for the metric."
        )
    return names.pop()


def _one(metric: Any, attribution: Attribution, question: Question, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """The metric of one attribution, and of `draws` random ones on the same question."""
    generator = torch.Generator().manual_seed(seed)
    value = metric.measure(attribution, question)
    random = [
        dataclasses.replace(attribution, scores=torch.rand(attribution.scores.shape, generator=generator), error=None)
        for _ in range(draws)
    ]
    floors = [metric.measure(r, question) for r in random]
    return _values(value), torch.cat([_values(f) for f in floors])


def _values(score: Score) -> Tensor:
    return score.values.float() if score.values is not None else torch.tensor([score.value])


def _of_space(metric: Any, space: ConceptSpace, activations: Activations) -> Score:
    cost = Cost()
    with cost.timed(), torch.no_grad():
        score = metric.measure(space, activations)
        random = metric.measure(RandomDirections.like(space, activations), activations)
    full = space.concepts >= space.width  # as many random directions as there are dimensions lose nothing
    notes = ("No random floor: with as many concepts as dimensions random directions reconstruct everything.",)
    score = dataclasses.replace(score, floor=None if full else random.value, notes=score.notes + notes * full)
    settings = {"rows": len(activations), "layer": activations.layer}
    return _finished(score, metric, cost, activations.made_by.model, settings)


def _finished(score: Score, metric: Any, cost: Cost, model: str, settings: dict[str, Any]) -> Score:
    if not isinstance(score, Score) or not math.isfinite(score.value):
        raise ModelError(f"{type(metric).__name__} gave {score}; a Score with a finite value was expected.")
    made = made_by(metric, cost, model, settings)
    definition = score.definition or getattr(metric, "definition", "")
    return dataclasses.replace(score, name=score.name or made.method, definition=definition, made_by=made)


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


def _prepared(attribution: Attribution, session: Session) -> Prepared:
    """The question's input again, from the very ids that were explained."""
    if attribution.encoded is None:
        raise InputError("this attribution does not come from a text of a model, so it cannot be asked about again.")
    readout = readout_of(attribution.targets, session.options.score, session.model.head)
    return Prepared(attribution.encoded, readout, session.removal_name(readout))
