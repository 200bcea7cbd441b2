"""Attribution methods that sample or take parameters, and what goes wrong with draws, limits and the surroundings."""

from __future__ import annotations

import os
import random
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from wrong_methods.attributions import OCCLUSION, SAMPLED, SIZES, SoundOrders, drawn, without
from wrong_methods.catalogue import wrong


@wrong("attribution", "standard errors are as large as the spread", **SAMPLED)
@dataclass(frozen=True)
class CertainErrors(SoundOrders):
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        scores, error = super().attribute(question)
        return scores, torch.full_like(error, 1e-9)


@wrong("attribution", "standard errors are as large as the spread", **SAMPLED)
@dataclass(frozen=True)
class ErrorsOfTheSum(SoundOrders):
    """Divides by the number of draws, not by its root. Source: definition."""

    def attribute(self, question: Any) -> Any:
        scores, error = super().attribute(question)
        return scores, error / self.samples**0.5


@wrong("attribution", "what is drawn has a standard error", **SAMPLED)
@dataclass(frozen=True)
class NoErrors(SoundOrders):
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return super().attribute(question)[0]


@wrong("attribution", "another seed gives another draw", **SAMPLED)
@dataclass(frozen=True)
class SeedUnused(SoundOrders):
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        each = drawn(question, question.afford(self.samples, len(question.units) + 1), 0)
        return each.mean(0), each.std(0) / len(each) ** 0.5


@wrong("attribution", "the same call gives the same scores", **SAMPLED)
@dataclass(frozen=True)
class SeedOfTheClock(SoundOrders):
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        each = drawn(question, question.afford(self.samples, len(question.units) + 1), torch.Generator().seed())
        return each.mean(0), each.std(0) / len(each) ** 0.5


@wrong("attribution", "the caller's limit on rows is kept", **SAMPLED)
@dataclass(frozen=True)
class NoHeedOfLimits(SoundOrders):
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        each = drawn(question, self.samples, self.seed)
        return each.mean(0), each.std(0) / len(each) ** 0.5


@wrong("attribution", "small questions are answered exactly", claims={*SAMPLED["claims"], "exact-when-small"})
@dataclass(frozen=True)
class ClaimsToBeExact(SoundOrders):
    """Source: definition."""


@wrong("attribution", "its claims and needs are those of its kind", claims={"seeded", "signed"})
@dataclass(frozen=True)
class SeededWithoutASeed:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@wrong("attribution", "its claims and needs are those of its kind", claims={"signed", "decodes"})
@dataclass(frozen=True)
class ClaimsOfSpaces:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@wrong("attribution", "other parameters work too", **SIZES)
@dataclass(frozen=True)
class OnlyTheDefault:
    """Args:
        squared: whether the scores are squared.

    Source: definition.
    """

    squared: bool = False

    def attribute(self, question: Any) -> Any:
        return without(question).square if self.squared else without(question).abs()


class _Leaves:
    def attribute(self, question: Any) -> Any:
        self.leave()  # type: ignore[attr-defined]
        return without(question)


LEFT = "its surroundings are left as they were"


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SeedsNumpy(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        np.random.seed(0)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SeedsPython(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        random.seed(0)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SeedsTorch(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        torch.default_generator.manual_seed(0)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class OneThread(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        torch.set_num_threads(torch.get_num_threads() + 1)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SetsTheEnvironment(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SetsTheDtype(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        torch.set_default_dtype(torch.float64)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class TurnsGradientsOff(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        torch.set_grad_enabled(False)


@wrong("attribution", LEFT, **OCCLUSION)
@dataclass(frozen=True)
class SilencesWarnings(_Leaves):
    """Source: definition."""

    def leave(self) -> None:
        warnings.simplefilter("ignore")


HANDED = "what it is handed is not changed"


@wrong("attribution", HANDED, **OCCLUSION)
@dataclass(frozen=True)
class WritesIntoX:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        scores = without(question)
        question.x.sub_(question.baseline)
        return scores


@wrong("attribution", HANDED, **OCCLUSION)
@dataclass(frozen=True)
class WritesIntoTheBaseline:
    """Through NumPy. Source: definition."""

    def attribute(self, question: Any) -> Any:
        scores = without(question)
        question.baseline.numpy()[:] = 0
        return scores
