"""Runs one metric on the attributions of one model, text by text, and on random scores for the chance level."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Literal

import torch
from interp_core.attribution import (
    REFERENCE,
    Attribution,
    ComponentText,
    Options,
    PreparedText,
    Question,
    Removal,
    Session,
    session_of,
)
from interp_core.errors import InputError, ModelError
from interp_core.metrics._random_baselines import RandomScores
from interp_core.metrics._score import Score
from interp_core.model import ServedModel, WrappedModel, readout_of
from interp_core.results import Cost, lent, made_again, made_by
from interp_core.statistics import interval_of_mean
from interp_core.text import DividedText
from torch import Tensor

RANDOM_ORDERS = 30  # at least, over all texts
ORDERS_OF_A_TEXT = 4  # at least: with fewer, the orders make intervals of margins wider than the texts do


@dataclass(frozen=True, eq=False)
class ModelAccess:
    """What a metric that declares the need `"model"` gets: the model, and the same question about other models.

    Attributes:
        model: the model that was explained.
        session: the run that the metric is part of.
        prepared: the text.
        kept: what `once` has made, shared by all texts of the run.
        lock: guards `kept`.

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
        """The question about another model with the same tokenizer: the same text, targets, units and removal."""
        other = session_of(model, self.session.options)
        other.cost = other.batch_runner.cost = self.session.cost
        return other.alone(dataclasses.replace(self.prepared, intact=None))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of `make()`, computed once for each key and shared by all texts of the run."""
        with self.lock:
            if key not in self.kept:
                self.kept[key] = make()
            return self.kept[key]


@dataclass(frozen=True, eq=False)
class AttributionMetricRun:
    """A metric and everything that it is given.

    Attributes:
        metric: the instance.
        attributions: attributions of texts of one model.
        model: that model.
        needs: what the metric gets besides the attribution and the question, in this order: `method`, `labels` (what
            people marked in the text), `model` (a `ModelAccess`).
        labels: one for each text; None if the metric does not need them.
        method: the method that made the attributions, if it is not installed.
        kept: what `ModelAccess.once` has made.
        lock: guards `kept`.
    """

    metric: Any
    attributions: list[Attribution]
    model: WrappedModel | ServedModel
    needs: frozenset[str]
    labels: list[Any]
    method: Any = None
    kept: dict[Any, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def score(
        self,
        score: str | None,
        removal: Removal | None,
        max_rows: int | Literal["as before"] | None,
        *,
        chance: bool,
        progress: bool,
    ) -> Score:
        """The mean over texts with its interval and chance level; the arguments are those of `measure`.

        Raises:
            InputError: the labels, the model or an option does not fit the attributions.
            ModelError: the metric returned something other than a `Score` with a finite value.
        """
        if len(self.labels) != len(self.attributions):
            raise InputError(f"{len(self.labels)} labels were given for {len(self.attributions)} attributions.")
        made_on = {a.made_by.model for a in self.attributions} - {""}
        if made_on and made_on != {self.model.name}:
            names = ", ".join(sorted(made_on))
            raise InputError(f"the attributions are of {names}, not of {self.model.name}; give the model explained.")
        if "method" in self.needs and (score is not None or removal is not None):
            raise InputError("this metric runs the method again as it was asked before; leave out score= and removal=.")
        limits = [n for a in self.attributions if (n := a.made_by.settings.get("max_rows"))]
        options = Options(
            score=self._space(score),
            removal=self._removal() if removal is None else removal,
            layer=self._layer(),
            max_rows=min(limits, default=None) if isinstance(max_rows, str) else max_rows,
            progress=progress,
        )
        session = session_of(self.model, options)
        prepared = [_prepared(a, session) for a in self.attributions]
        draws = max(ORDERS_OF_A_TEXT, math.ceil(RANDOM_ORDERS / len(prepared))) if chance else 0
        works = [partial(self._one, session, i, p, draws) for i, p in enumerate(prepared)]
        scores = session.each(prepared, works, f"measure by {type(self.metric).__name__.lower()}")
        return self._summed(scores, session, prepared[0], draws)

    def _summed(
        self, scores: Sequence[tuple[Score, Tensor]], session: Session, prepared: PreparedText, draws: int
    ) -> Score:
        """The mean of the scores of texts, each with the values (draws) that random scores get on the same text."""
        each = [_values(own) for own, _ in scores]
        means = torch.stack([v.mean() for v in each])  # a text counts once, however many targets it has
        better = self.metric.higher_is_better
        beside: dict[str, Any] = {}
        if draws:
            random = torch.stack([own for _, own in scores]).double()
            error = float(random.var(1).sum().sqrt()) / draws**0.5 / len(scores)
            sign = {True: 1, False: -1, None: None}[better]
            beside = {"chance": _mean(random.mean(1)), "chance_error": error}
            beside |= {"margins": None if sign is None else (means - random.mean(1).float()) * sign}
        score = Score(
            _mean(means),
            better,
            torch.cat(each),
            interval_of_mean(means),
            **beside,
            definition=scores[0][0].definition,
            notes=tuple(dict.fromkeys((*(note for own, _ in scores for note in own.notes), *session.notes))),
            curves=tuple(curve for own, _ in scores for curve in own.curves),
        )
        settings = {"score": prepared.space, "removal": prepared.removal, "texts": len(scores), "random orders": draws}
        return finished(score, self.metric, session.cost, self.model.name, {**settings, **session.asked})

    def _one(
        self, session: Session, i: int, prepared: PreparedText, draws: int, question: Question
    ) -> tuple[Score, Tensor]:
        """The score of one attribution, and those of `draws` random ones for the same question.

        The draws depend on the text alone, so that methods are compared with the same random orders, and neither other
        texts nor their order matter.
        """
        attribution = self.attributions[i]
        more = {"labels": self.labels[i], "model": ModelAccess(self.model, session, prepared, self.kept, self.lock)}
        extra = [more[name] for name in ("labels", "model") if name in self.needs]
        needs_method = "method" in self.needs
        method = [self._method(attribution)] if needs_method else []
        score = measured_by(self.metric, attribution, question, *method, *extra)
        generator = torch.Generator().manual_seed(self._seed(i))
        size = float(attribution.scores.square().mean().sqrt()) or 1.0  # some metrics are in the unit of the scores
        random = []
        for _ in range(draws):
            renewed = question.with_budget(session.options.max_rows)  # a limit on rows holds for each answer
            drawn = torch.randn(attribution.scores.shape, generator=generator) * size
            other = dataclasses.replace(attribution, scores=drawn * question.applicable, error=None)
            method = [RandomScores(generator, size)] if needs_method else []
            random.append(_values(measured_by(self.metric, other, renewed, *method, *extra)).mean())
        return score, torch.stack(random) if random else torch.zeros(0)

    def _seed(self, i: int) -> int:
        """A seed that depends on the text and its units alone, and on how many equal texts come before it."""
        text, units = self.attributions[i].text, self.attributions[i].units
        before = sum(a.text == text and a.units == units for a in self.attributions[:i])
        named = f"{text}\n{[(unit.start, unit.stop) for unit in units]}\n{before}"
        return int.from_bytes(hashlib.sha256(named.encode()).digest()[:7])

    def _method(self, attribution: Attribution) -> Any:
        return self.method if self.method is not None else made_again(attribution.made_by, "attribution")

    def _space(self, score: str | None) -> str:
        """The score space given, or that of the metric or, if it depends on it, of the attributions, or probability."""
        spaces = {a.score_space for a in self.attributions}
        wanted = str(getattr(self.metric, "space", ""))
        if "entropy" in spaces and wanted not in ("", "own"):
            raise InputError(
                f"{type(self.metric).__name__} measures in {wanted}, and an entropy has none; explain the text in "
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
            return spaces.pop()
        return "logit" if self.model.head == "regression" else "probability"

    def _layer(self) -> str | None:
        """The layer of the attributions, for metrics that depend on it; other metrics remove units of the input."""
        if getattr(self.metric, "space", "") != "own":
            return None
        layers = {a.made_by.settings.get("layer", "embeddings") for a in self.attributions}
        if len(layers) > 1:
            names = ", ".join(sorted(layers))
            raise InputError(f"the attributions were made at {names}; measure the attributions of one layer at a time.")
        layer = str(layers.pop())
        return None if layer == "embeddings" else layer

    def _removal(self) -> str:
        """The removal that the attributions were made with."""
        words = [a for a in self.attributions if not isinstance(a.encoded, ComponentText)]  # others have a reference
        names = {str(a.made_by.settings.get("removal", "auto")).split()[0] for a in words} or {"auto"}
        if len(names) > 1 or names & {"tensor"}:
            listed = ", ".join(sorted(names))
            raise InputError(f"the attributions were made with removal {listed}; give removal=… for the metric.")
        return names.pop()


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
