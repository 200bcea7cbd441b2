"""One metric of the attributions of one model: the question asked again, text by text, and a random answer beside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Literal

import torch
from interp_core.attribution import Attribution, Options, PreparedText, Question, Removal, Session
from interp_core.errors import InputError, ModelError
from interp_core.metrics._random_baselines import RandomScores
from interp_core.metrics._score import Score
from interp_core.model import WrappedModel, readout_of
from interp_core.results import Cost, made_again, made_by
from interp_core.statistics import interval_of_mean
from interp_core.text import DividedText
from torch import Tensor

RANDOM_ORDERS = 30


@dataclass(frozen=True, eq=False)
class ModelAccess:
    """What a metric that needs the model is given: the model, and the same question asked of another one.

    Attributes:
        model: the model that was explained.
        session: the run.
        prepared: the text.
        kept: what `once` has made, for all texts of the run.
    """

    model: WrappedModel
    session: Session
    prepared: PreparedText
    kept: dict[Any, Any]
    lock: Any

    def of(self, model: WrappedModel) -> Question:
        """The same text, targets, units and removal, asked of another model with the same tokenizer."""
        other = Session(model, self.session.options)
        other.cost = other.batch_runner.cost = self.session.cost
        return other.alone(dataclasses.replace(self.prepared, intact=None))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for all texts."""
        with self.lock:
            if key not in self.kept:
                self.kept[key] = make()
            return self.kept[key]


@dataclass(frozen=True, eq=False)
class AttributionMetricRun:
    """A metric with all that it is told.

    Attributes:
        metric: an instance.
        attributions: of texts of one model.
        model: that model.
        needs: what the metric is given beside the attribution and the question, in this order: `method`, `labels`
            (what people marked in the text), `model` (an `ModelAccess`).
        labels: one for each text; None where not needed.
        method: the one that made the attributions, where it is not installed.
    """

    metric: Any
    attributions: list[Attribution]
    model: WrappedModel
    needs: frozenset[str]
    labels: list[Any]
    method: Any = None
    kept: dict[Any, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def score(
        self, score: str | None, removal: Removal | None, max_rows: int | Literal["as before"] | None, progress: bool
    ) -> Score:
        """The mean over texts, with its interval, and the same for random answers; the arguments are `measure`'s."""
        if len(self.labels) != len(self.attributions):
            raise InputError(f"{len(self.labels)} labels were given for {len(self.attributions)} attributions.")
        made_on = {a.made_by.model for a in self.attributions} - {""}
        if made_on and made_on != {self.model.name}:
            names = ", ".join(sorted(made_on))
            raise InputError(f"the attributions are of {names}, the model is {self.model.name}; give that one.")
        if "method" in self.needs and (score is not None or removal is not None):
            raise InputError("this metric asks the method again as it was asked before; leave score= and removal= out.")
        limits = [n for a in self.attributions if (n := a.made_by.settings.get("max_rows"))]
        options = Options(
            score=self._space(score),
            removal=self._removal() if removal is None else removal,
            layer=self._layer(),
            max_rows=min(limits, default=None) if isinstance(max_rows, str) else max_rows,
            progress=progress,
        )
        session = Session(self.model, options)
        prepared = [_prepared(a, session) for a in self.attributions]
        draws = max(1, math.ceil(RANDOM_ORDERS / len(prepared)))
        works = [partial(self._one, session, i, p, draws) for i, p in enumerate(prepared)]
        found = session.each(prepared, works, f"measure by {type(self.metric).__name__.lower()}")
        return self._summed(found, session, prepared[0], draws)

    def _summed(
        self, found: Sequence[tuple[Score, Tensor]], session: Session, prepared: PreparedText, draws: int
    ) -> Score:
        each = [_values(own) for own, _ in found]
        means = torch.stack([v.mean() for v in each])  # a text counts once, however many targets it has
        chances = torch.stack([f.mean() for _, f in found])
        better = self.metric.higher_is_better
        score = Score(
            float(means.mean()),
            better,
            torch.cat(each),
            interval_of_mean(means),
            float(chances.mean()),
            None if better is None else (means - chances) * (1 if better else -1),
            definition=found[0][0].definition,
            notes=tuple(dict.fromkeys(note for own, _ in found for note in own.notes)),
        )
        settings = {"score": prepared.space, "removal": prepared.removal, "texts": len(found), "random orders": draws}
        return finished(score, self.metric, session.cost, self.model.name, settings)

    def _one(
        self, session: Session, i: int, prepared: PreparedText, draws: int, question: Question
    ) -> tuple[Score, Tensor]:
        """The metric of one attribution, and of `draws` random ones on the same question."""
        attribution = self.attributions[i]
        more = {"labels": self.labels[i], "model": ModelAccess(self.model, session, prepared, self.kept, self.lock)}
        wanted = [name for name in ("labels", "model") if name in self.needs]
        extra = [more[name] for name in wanted]
        asks = "method" in self.needs
        value = self.metric.measure(attribution, question, *([self._method(attribution)] if asks else []), *extra)
        generator = torch.Generator().manual_seed(i)
        size = float(attribution.scores.square().mean().sqrt()) or 1.0  # some metrics are in the unit of the scores
        random = []
        for _ in range(draws):
            renewed = question.with_budget(session.options.max_rows)  # a limit on rows is for one answer
            drawn = torch.randn(attribution.scores.shape, generator=generator) * size
            other = dataclasses.replace(attribution, scores=drawn * question.applicable, error=None)
            value_by_chance = self.metric.measure(
                other, renewed, *([RandomScores(generator, size)] if asks else []), *extra
            )
            random.append(_values(value_by_chance))
        return value, torch.cat(random)

    def _method(self, attribution: Attribution) -> Any:
        return self.method if self.method is not None else made_again(attribution.made_by, "attribution")

    def _space(self, score: str | None) -> str:
        """The score space asked for, or probability; the attributions' own where the metric is about those."""
        entropies = {"entropy"} & {a.score_space for a in self.attributions}
        if score is not None and (score == "entropy") != bool(entropies):
            raise InputError("an entropy is explained by its own attributions alone; leave score= out.")
        if score is not None:
            return score
        spaces = {a.score_space for a in self.attributions}
        if getattr(self.metric, "space", "") == "own" or "entropy" in spaces:
            if len(spaces) > 1:
                raise InputError(f"the attributions are in {', '.join(sorted(spaces))}; say score=… for the metric.")
            return spaces.pop()
        return "logit" if self.model.head == "regression" else "probability"

    def _layer(self) -> str | None:
        """Where the attributions were made, for a metric that is about those; other metrics remove words."""
        if getattr(self.metric, "space", "") != "own":
            return None
        layers = {a.made_by.settings.get("layer", "embeddings") for a in self.attributions}
        if len(layers) > 1:
            raise InputError(f"the attributions were made at {', '.join(sorted(layers))}; measure those of one layer.")
        layer = str(layers.pop())
        return None if layer == "embeddings" else layer

    def _removal(self) -> str:
        """The removal that the attributions were made with."""
        names = {str(a.made_by.settings.get("removal", "auto")).split()[0] for a in self.attributions}
        if len(names) > 1 or names & {"tensor"}:
            found = ", ".join(sorted(names))
            raise InputError(f"the attributions were made with removal {found}; say removal=… for the metric.")
        return names.pop()


def _values(score: Score) -> Tensor:
    return score.values.float() if score.values is not None else torch.tensor([score.value])


def finished(score: Score, metric: Any, cost: Cost, model: str, settings: dict[str, Any]) -> Score:
    """The score with its name, definition and provenance.

    Raises:
        ModelError: it is no `Score` with a finite value.
    """
    if not isinstance(score, Score) or not math.isfinite(score.value):
        raise ModelError(f"{type(metric).__name__} gave {score}; a Score with a finite value was expected.")
    made = made_by(metric, cost, model, settings)
    definition = score.definition or getattr(metric, "definition", "")
    return dataclasses.replace(score, name=score.name or made.method, definition=definition, made_by=made)


def _prepared(attribution: Attribution, session: Session) -> PreparedText:
    """The question's input again, from the very ids that were explained."""
    if not isinstance(attribution.encoded, DividedText):
        raise InputError("this attribution does not come from a text of a model, so it cannot be asked about again.")
    readout = readout_of(attribution.targets, session.options.score, session.model.head)
    return PreparedText(attribution.encoded, readout, session.removal_name(readout))
