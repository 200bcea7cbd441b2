"""Metrics of attributions and of concepts: two that keep their promises, and what goes wrong with scores."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from interp_core.metrics import Score
from wrong_methods.catalogue import right, wrong

ATTRIBUTIONS = {"measures": "attribution"}
SPACES = {"measures": "concepts"}
FAITHFUL, HANDED, EACH = (
    "the truth beats a wrong answer",
    "what it is handed is not changed",
    "each target has its value",
)


def falls(attribution: Any, question: Any) -> torch.Tensor:
    """How far the score of each target falls without its best half of units."""
    u = len(question.units)
    found = []
    for k, scores in enumerate(attribution.scores):
        keep = torch.ones(1, u, dtype=torch.bool)
        keep[0, scores.topk((u + 1) // 2).indices] = False
        found.append((question.intact() - question.masked(keep)[0])[k])
    return torch.stack(found) + 1e-3 * attribution.scores.softmax(1)[:, -1]  # and a little of the last one


@right("metric", **ATTRIBUTIONS)
@dataclass(frozen=True)
class SoundFall:
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = True

    def measure(self, attribution: Any, question: Any) -> Score:
        values = falls(attribution, question)
        return Score(float(values.mean()), self.higher_is_better, values)


@wrong("metric", HANDED, **ATTRIBUTIONS)
@dataclass(frozen=True)
class EmptiesTheScores(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        score = super().measure(attribution, question)
        attribution.scores.zero_()
        return score


@wrong("metric", HANDED, **ATTRIBUTIONS)
@dataclass(frozen=True)
class NormalisesWithNumpy(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        scores = attribution.scores.numpy()
        scores /= abs(scores).max()
        return super().measure(attribution, question)


@wrong("metric", "the same call gives the same score", **ATTRIBUTIONS)
@dataclass(frozen=True)
class RandomScore(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        value = int.from_bytes(os.urandom(4)) / 2**32
        return Score(value, self.higher_is_better, torch.full((len(attribution.targets),), value))


@wrong("metric", "its surroundings are left as they were", **ATTRIBUTIONS)
@dataclass(frozen=True)
class DrawsGlobally(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        torch.rand(1)
        return super().measure(attribution, question)


@wrong("metric", FAITHFUL, **ATTRIBUTIONS)
@dataclass(frozen=True)
class WrongDirection(SoundFall):
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = False


@wrong("metric", FAITHFUL, **ATTRIBUTIONS)
@dataclass(frozen=True)
class AlwaysOne(SoundFall):
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = None

    def measure(self, attribution: Any, question: Any) -> Score:
        return Score(1.0, None, torch.ones(len(attribution.targets)))


@wrong("metric", EACH, **ATTRIBUTIONS)
@dataclass(frozen=True)
class FirstTargetOnly(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        first = falls(attribution, question)[:1]
        return Score(float(first.mean()), self.higher_is_better, first.expand(len(attribution.targets)))


@wrong("metric", EACH, **ATTRIBUTIONS)
@dataclass(frozen=True)
class SumForMean(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        values = falls(attribution, question)
        return Score(float(values.sum()), self.higher_is_better, values)


@wrong("metric", "all units count", **ATTRIBUTIONS)
@dataclass(frozen=True)
class SixteenUnitsMeasured(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        scores = attribution.scores.clone()
        scores[:, 16:] = 0
        return super().measure(replace(attribution, scores=scores), question)


@wrong("metric", "any number of units is measured", **ATTRIBUTIONS)
@dataclass(frozen=True)
class NotANumberForOne(SoundFall):
    """Source: definition."""

    def measure(self, attribution: Any, question: Any) -> Score:
        values = falls(attribution, question) / attribution.scores.std(1)
        return Score(float(values.mean()), self.higher_is_better, values)


def missed(space: Any, activations: Any) -> float:
    """The mean squared difference of rows and their reconstructions."""
    total = sum(float((space(rows) - rows).square().sum()) for rows in activations.batches())
    return total / (len(activations) * activations.width)


@right("metric", **SPACES)
@dataclass(frozen=True)
class SoundMiss:
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = False

    def measure(self, space: Any, activations: Any) -> Score:
        return Score(missed(space, activations), self.higher_is_better)


@wrong("metric", FAITHFUL, **SPACES)
@dataclass(frozen=True)
class MissIsGood(SoundMiss):
    """Source: definition."""

    higher_is_better: ClassVar[bool | None] = True


@wrong("metric", HANDED, **SPACES)
@dataclass(frozen=True)
class ErasesTheRows(SoundMiss):
    """Source: definition."""

    def measure(self, space: Any, activations: Any) -> Score:
        for rows in activations.batches():
            rows.sub_(space(rows))
        return Score(float(activations.matrix().square().mean()), self.higher_is_better)


@wrong("metric", HANDED, **SPACES)
@dataclass(frozen=True)
class TurnsTheSpace(SoundMiss):
    """Source: definition."""

    def measure(self, space: Any, activations: Any) -> Score:
        score = super().measure(space, activations)
        space.dictionary.neg_()
        return score


@wrong("metric", "the same call gives the same score", **SPACES)
@dataclass(frozen=True)
class MissOfSomeRows(SoundMiss):
    """Source: definition."""

    def measure(self, space: Any, activations: Any) -> Score:
        generator = torch.Generator()
        generator.seed()
        rows = activations.sample(20, generator)
        return Score(float((space(rows) - rows).square().mean()), self.higher_is_better)


@wrong("metric", "its claims and needs are those of its kind", claims={"signed"}, **SPACES)
@dataclass(frozen=True)
class ClaimsOfAMethod(SoundMiss):
    """Source: definition."""
