"""A metric applied to the attributions of one model, text by text, and to random scores for the chance level."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import torch
from interp_core.attribution import (
    REFERENCE,
    Attribution,
    ComponentText,
    Options,
    PreparedText,
    Question,
    Session,
    session_of,
)
from interp_core.errors import InputError, ModelError
from interp_core.metrics._random_baselines import RandomScores
from interp_core.metrics._score import Score
from interp_core.metrics._text_score import Choices, TextScore
from interp_core.model import ServedModel, WrappedModel, readout_of
from interp_core.results import Cost, Shard, State, lent, made_again, made_by, packed
from interp_core.statistics import interval_of_mean
from interp_core.text import DividedText
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ModelAccess:
    """Access to the model for metrics that declare the need `"model"`, and to the same question about other models.

    Attributes:
        model: the model that was explained.
        session: the run that the metric is part of.
        prepared: the text and its targets.
        kept: the values that `once` has made, shared by all texts of the run.
        lock: the lock that guards `kept`.

    Examples:
        >>> from interp_core.metrics import Score
        >>> from interp_core.testing import planted_model
        >>> model, weaker = (planted_model({"happy": (worth, 0.0)}) for worth in (3.0, 1.0))
        >>> class Loss:  # of probability, on the weaker model
        ...     needs, higher_is_better = frozenset({"model"}), None
        ...     def measure(self, attribution, question, access):
        ...         return Score(float(question.intact() - access.of(weaker).intact()), None)
        >>> why = interp.attribute(model, "so happy", by="occlusion", targets=0, progress=False)
        >>> round(interp.measure(why, model, by=Loss(), progress=False).value, 3)
        0.222
    """

    model: Any
    session: Session
    prepared: PreparedText
    kept: dict[Any, Any]
    lock: Any

    def of(self, model: WrappedModel) -> Question:
        """Ask the question about another model with the same tokenizer: the same text, targets, units and removal."""
        other = session_of(model, self.session.options)
        other.cost = other.batch_runner.cost = self.session.cost
        return other.alone(dataclasses.replace(self.prepared, intact=None))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return the value of `make()`, computed once for each key and shared by all texts of the run."""
        with self.lock:
            if key not in self.kept:
                self.kept[key] = make()
            return self.kept[key]


@dataclass(frozen=True, eq=False)
class AttributionMetricRun:
    """A metric and everything that it is given, but for the attributions.

    Attributes:
        metric: the instance.
        model: the model that was explained.
        needs: what the metric gets besides the attribution and the question, in this order: `method`, `labels` (what
            people marked in the text), `model` (a `ModelAccess`).
        choices: what the caller chose.
        options: the options of the questions.
        draws: how many random answers there are for each text.
        method: the method that made the attributions, if it is not installed.
        kept: what `ModelAccess.once` has made.
        lock: guards `kept`.
    """

    metric: Any
    model: WrappedModel | ServedModel
    needs: frozenset[str]
    choices: Choices
    options: Options
    draws: int
    method: Any = None
    kept: dict[Any, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which makes its own lock."""
        given = (self.metric, self.model, self.needs, self.choices, self.options, self.draws, self.method)
        return type(self), given

    def of(
        self, attributions: Sequence[Attribution], labels: Sequence[Any], before: Sequence[int], options: Options
    ) -> tuple[list[TextScore], Session, PreparedText]:
        """The score of each attribution, the run that they are of, and the first text of it.

        Args:
            attributions: the attributions.
            labels: of each, None where the metric needs none.
            before: for each how many equal texts come before it.
            options: the options of the questions.
        """
        session = session_of(self.model, options)
        prepared = [_prepared(a, session) for a in attributions]
        columns = zip(attributions, labels, before, prepared, strict=True)
        works = [partial(self._one, session, of_text) for of_text in columns]
        scores = session.each(prepared, works, f"measure by {type(self.metric).__name__.lower()}")
        return scores, session, prepared[0]

    def __call__(self, shard: Shard) -> tuple[State, dict[str, Any]]:
        """The scores of the attributions of one shard, as a packed state; and what the run tells of them."""
        attributions = list(shard.items)
        if metric_options(self.metric, attributions, self.model, self.needs, self.choices) != self.options:
            raise InputError(
                f"attributions {shard.first} to {shard.first + len(shard) - 1} were made with other settings than "
                "those before them; measure those of one call at a time, or give score= and removal=."
            )
        none = (None,) * len(shard)
        options = dataclasses.replace(self.options, progress=False)
        scores, session, first = self.of(
            attributions, shard.beside.get("labels", none), shard.beside["before"], options
        )
        cost = {name: value for name, value in vars(session.cost).items() if name != "seconds"}
        told = {"cost": cost, "space": first.space, "removal": first.removal}
        return packed([score.state() for score in scores]), told | {"notes": session.notes, "asked": session.asked}

    def summed(self, scores: Sequence[TextScore], notes: Sequence[str] = ()) -> Score:
        """The mean of the scores of texts, with what random scores get on the same texts."""
        each = [score.values for score in scores]
        drawn = all(len(score.random_curves) == len(score.curves) for score in scores)
        means = torch.stack([v.mean() for v in each])  # a text counts once, however many targets it has
        better = self.metric.higher_is_better
        beside: dict[str, Any] = {}
        if self.draws:
            random = torch.stack([score.random for score in scores]).double()
            error = float(random.var(1).sum().sqrt()) / self.draws**0.5 / len(scores)
            sign = {True: 1, False: -1, None: None}[better]
            beside = {"chance": _mean(random.mean(1)), "chance_error": error}
            beside |= {"margins": None if sign is None else (means - random.mean(1).float()) * sign}
        return Score(
            _mean(means),
            better,
            torch.cat(each),
            interval_of_mean(means),
            **beside,
            definition=scores[0].definition,
            notes=tuple(dict.fromkeys((*(note for own in scores for note in own.notes), *notes))),
            curves=tuple(curve for own in scores for curve in own.curves),
            chance_curves=tuple(curve for own in scores for curve in own.random_curves) if drawn else (),
        )

    def finished(self, score: Score, cost: Cost, texts: int, settings: dict[str, Any]) -> Score:
        """The score with its name, definition and provenance."""
        said = {"texts": texts, "random orders": self.draws}
        named = {name: settings.pop(name) for name in ("score", "removal")}
        return finished(score, self.metric, cost, self.model.name, {**named, **said, **settings})

    def _one(
        self,
        session: Session,
        of_text: tuple[Attribution, Any, int, PreparedText],
        question: Question,
    ) -> TextScore:
        """The score of one attribution, and those of random ones for the same question.

        The draws depend on the text alone, so that methods are compared with the same random orders, and neither other
        texts nor their order matter.
        """
        attribution, labels, before, prepared = of_text
        more = {"labels": labels, "model": ModelAccess(self.model, session, prepared, self.kept, self.lock)}
        extra = [more[name] for name in ("labels", "model") if name in self.needs]
        needs_method = "method" in self.needs
        method = [self._method(attribution)] if needs_method else []
        score = measured_by(self.metric, attribution, question, *method, *extra)
        generator = torch.Generator().manual_seed(_seed(attribution, before))
        size = float(attribution.scores.square().mean().sqrt()) or 1.0  # some metrics are in the unit of the scores
        random = []
        for _ in range(self.draws):
            renewed = question.with_budget(session.options.max_rows)  # a limit on rows holds for each answer
            drawn = torch.randn(attribution.scores.shape, generator=generator) * size
            other = dataclasses.replace(attribution, scores=drawn * question.applicable, error=None)
            method = [RandomScores(generator, size)] if needs_method else []
            random.append(measured_by(self.metric, other, renewed, *method, *extra))
        means = [_values(one).mean() for one in random]
        drawn_by_chance = torch.stack(means) if means else torch.zeros(0)
        by_chance = _mean_curves([one.curves for one in random], score.curves)
        return TextScore(_values(score), drawn_by_chance, score.definition, score.notes, score.curves, by_chance)

    def _method(self, attribution: Attribution) -> Any:
        return self.method if self.method is not None else made_again(attribution.made_by, "attribution")


def _mean_curves(drawn: Sequence[tuple[Tensor, ...]], own: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The mean of the curves that were drawn; none where they are not of the same steps as one's own."""
    lengths = [len(curve) for curve in own]
    if not drawn or any([len(curve) for curve in curves] != lengths for curves in drawn):
        return ()
    return tuple(torch.stack(same).mean(0) for same in zip(*drawn, strict=True))


def metric_options(
    metric: Any,
    attributions: Sequence[Attribution],
    model: WrappedModel | ServedModel,
    needs: frozenset[str],
    choices: Choices,
) -> Options:
    """The options of the questions that a metric asks about attributions.

    Args:
        metric: the instance.
        attributions: the attributions; nothing is kept of them.
        model: the model.
        needs: what the metric needs.
        choices: what the caller chose.

    Raises:
        InputError: the model or an option does not fit the attributions.
    """
    if "method" in needs and (choices.score is not None or choices.removal is not None):
        raise InputError("this metric runs the method again as it was asked before; leave out score= and removal=.")
    spaces, layers, removals, models = (set[str]() for _ in range(4))
    limits: list[int] = []
    for one in attributions:
        settings = one.made_by.settings
        spaces.add(one.score_space)
        layers.add(settings.get("layer", "embeddings"))
        models.add(one.made_by.model)
        limits += [settings["max_rows"]] if settings.get("max_rows") else []
        if not isinstance(one.encoded, ComponentText):  # others have a reference
            removals.add(str(settings.get("removal", "auto")).split()[0])
    made_on = models - {""}
    if made_on and made_on != {model.name}:
        names = ", ".join(sorted(made_on))
        raise InputError(f"the attributions are of {names}, not of {model.name}; give the model explained.")
    return Options(
        score=_space(metric, spaces, model, choices.score),
        removal=_removal(removals) if choices.removal is None else choices.removal,
        layer=_layer(metric, layers),
        max_rows=min(limits, default=None) if isinstance(choices.max_rows, str) else choices.max_rows,
        progress=choices.progress,
    )


def _seed(attribution: Attribution, before: int) -> int:
    """A seed that depends on the text and its units alone, and on how many equal texts come before it."""
    named = f"{key_of(attribution)}\n{before}"
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:7])


def key_of(attribution: Attribution) -> str:
    """The text and its units, by which equal texts are known."""
    return f"{attribution.text}\n{[(unit.start, unit.stop) for unit in attribution.units]}"


def _space(metric: Any, spaces: set[str], model: Any, score: str | None) -> str:
    """The score space given, or that of the metric or, if it depends on it, of the attributions, or probability."""
    wanted = str(getattr(metric, "space", ""))
    if "entropy" in spaces and wanted not in ("", "own"):
        raise InputError(
            f"{type(metric).__name__} measures in {wanted}, and an entropy has none; explain the text in "
            f"another score space, such as score={wanted!r}, or measure by another metric."
        )
    if score is not None and (score == "entropy") != ("entropy" in spaces):
        raise InputError("attributions of an entropy are measured in entropy, others are not; leave out score=.")
    if score is not None:
        return score
    if wanted not in ("", "own"):
        return wanted
    if wanted == "own" or "entropy" in spaces:
        if len(spaces) > 1:
            raise InputError(f"the attributions are in {', '.join(sorted(spaces))}; give score=… for the metric.")
        return next(iter(spaces))
    return "logit" if model.head == "regression" else "probability"


def _layer(metric: Any, layers: set[str]) -> str | None:
    """The layer of the attributions, for metrics that depend on it; other metrics remove units of the input."""
    if getattr(metric, "space", "") != "own":
        return None
    if len(layers) > 1:
        names = ", ".join(sorted(layers))
        raise InputError(f"the attributions were made at {names}; measure the attributions of one layer at a time.")
    layer = str(next(iter(layers)))
    return None if layer == "embeddings" else layer


def _removal(removals: set[str]) -> str:
    """The removal that the attributions were made with."""
    names = removals or {"auto"}
    if len(names) > 1 or names & {"tensor"}:
        listed = ", ".join(sorted(names))
        raise InputError(f"the attributions were made with removal {listed}; give removal=… for the metric.")
    return next(iter(names))


def _values(score: Score) -> Tensor:
    return score.values.float() if score.values is not None else torch.tensor([score.value])


def _mean(values: Tensor) -> float:
    """The mean, the same in whichever order the values come."""
    return math.fsum(values.tolist()) / len(values)


def measured_by(metric: Any, *values: Any) -> Score:
    """What a metric says of values that are lent to it.

    Raises:
        ModelError: it is not a `Score`, or the metric wrote into the values.
    """
    with lent(metric, *values) as given:
        score = metric.measure(*given)
    if not isinstance(score, Score):
        raise ModelError(f"{type(metric).__name__} returned {score!r}; a Score was expected.")
    return score


def finished(score: Score, metric: Any, cost: Cost, model: str, settings: dict[str, Any]) -> Score:
    """The score with its name, definition and provenance.

    Raises:
        ModelError: its value is not finite.
    """
    if not math.isfinite(score.value):
        raise ModelError(f"{type(metric).__name__} returned {score}; a Score with a finite value was expected.")
    made = made_by(metric, cost, model, settings)
    definition = score.definition or getattr(metric, "definition", "")
    return dataclasses.replace(score, name=score.name or made.method, definition=definition, made_by=made)


def _prepared(attribution: Attribution, session: Session) -> PreparedText:
    """The text prepared again, from the token ids that were explained.

    Raises:
        InputError: the attribution was not made from a text.
    """
    if not isinstance(attribution.encoded, DividedText):
        raise InputError("this attribution was not made from a text of a model, so no metric can ask the model again.")
    encoded, options = attribution.encoded, session.options
    readout = readout_of(attribution.targets, options.score, session.model.head)
    if isinstance(encoded, ComponentText):
        if options.removal not in ("auto", REFERENCE):
            raise InputError("components are replaced by their reference; leave out removal=.")
        encoded.check()
        return PreparedText(encoded, readout, REFERENCE)
    return PreparedText(encoded, readout, session.removal_name(readout))
