"""Attribution methods: four that keep their promises, and what goes wrong with scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from wrong_methods.catalogue import right, wrong

OCCLUSION = {"claims": {"signed"}}
SIZES = {"claims": {"nonnegative"}}
SLOPES = {"claims": {"signed"}, "needs": {"gradients"}}
SAMPLED = {"claims": {"seeded", "signed", "complete"}}


def without(question: Any) -> torch.Tensor:
    """By how much the score falls without each unit (k, u)."""
    return (question.intact() - question.masked(~torch.eye(len(question.units), dtype=torch.bool))).T


def drawn(question: Any, samples: int, seed: int) -> torch.Tensor:
    """What each unit adds in random orders (n, k, u)."""
    u = len(question.units)
    generator = torch.Generator().manual_seed(seed)
    place = torch.stack([torch.randperm(u, generator=generator) for _ in range(samples)])
    keep = place[:, None, :] < torch.arange(u + 1)[None, :, None]
    steps = question.masked(keep.flatten(0, 1)).unflatten(0, (samples, u + 1)).diff(dim=1)
    return steps.gather(1, place[:, :, None].expand(-1, -1, steps.shape[2])).transpose(1, 2)


def slopes(question: Any) -> torch.Tensor:
    """Gradient times difference to the baseline, of each feature (k, f)."""
    (gradient,) = question.gradients(question.x[None])
    return (gradient * (question.x - question.baseline)).sum(-1)


@right("attribution", **OCCLUSION)
@dataclass(frozen=True)
class SoundOcclusion:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@right("attribution", **SIZES)
@dataclass(frozen=True)
class SoundSizes:
    """Args:
        power: of the sizes.

    Source: definition.
    """

    power: float = 1.0

    def attribute(self, question: Any) -> Any:
        return without(question).abs() ** self.power


@right("attribution", claims={"signed", "pointwise"}, needs={"gradients"})
@dataclass(frozen=True)
class SoundSlopes:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return question.pool(slopes(question))


@right("attribution", **SAMPLED)
@dataclass(frozen=True)
class SoundOrders:
    """Args:
        samples: how many orders.
        seed: of the orders.

    Source: definition.
    """

    samples: int = 40
    seed: int = 0

    def attribute(self, question: Any) -> Any:
        samples = question.afford(self.samples, len(question.units) + 1)
        each = drawn(question, samples, self.seed)
        return each.mean(0), each.std(0) / samples**0.5


@wrong("attribution", "what counts stands out")
@dataclass(frozen=True)
class ScoresByPosition:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return torch.arange(float(len(question.units))).repeat(len(question.targets), 1)


@wrong("attribution", "what counts stands out", **SIZES)
@dataclass(frozen=True)
class OffByOne:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question).abs().roll(1, dims=1)


@wrong("attribution", "what counts stands out", claims={"nonnegative"}, needs={"gradients"})
@dataclass(frozen=True)
class FirstPieceOnly:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        first = [int((question.unit_of == u).nonzero()[0]) for u in range(len(question.units))]
        return slopes(question)[:, first].abs()


@wrong("attribution", "a linear score is explained exactly", **SLOPES)
@dataclass(frozen=True)
class FirstPieceSigned:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        first = [int((question.unit_of == u).nonzero()[0]) for u in range(len(question.units))]
        return slopes(question)[:, first]


@wrong("attribution", "what counts stands out", **OCCLUSION)
@dataclass(frozen=True)
class SixteenUnits:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        scores = without(question)
        scores[:, 16:] = 0
        return scores


@wrong("attribution", "a linear score is explained exactly", **SLOPES)
@dataclass(frozen=True)
class NoUnitIsTheLast:
    """Reads -1 in `unit_of` as the last unit. Source: definition."""

    def attribute(self, question: Any) -> Any:
        piece = slopes(question) + (question.unit_of < 0) * question.x.sum(-1)
        total = torch.zeros(len(question.targets), len(question.units))
        return total.index_add_(1, question.unit_of % len(question.units), piece)


@wrong("attribution", "another model gets other scores", **SIZES)
@dataclass(frozen=True)
class RemembersTheText:
    """Source: definition."""

    known: ClassVar[dict[Any, torch.Tensor]] = {}

    def attribute(self, question: Any) -> Any:
        key = question.text, len(question.targets)
        if key not in self.known:
            self.known[key] = without(question).abs()
        return self.known[key].clone()


@wrong("attribution", "scores are (targets, units) and finite", **SIZES)
@dataclass(frozen=True)
class NotForOneUnit:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        size = without(question).abs()
        return size / size.std(dim=1, keepdim=True)


@wrong("attribution", "a linear score is explained exactly", **OCCLUSION)
@dataclass(frozen=True)
class FirstTargetForAll:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)[:1].expand(len(question.targets), -1)


@wrong("attribution", "signs are kept", **OCCLUSION)
@dataclass(frozen=True)
class LosesSigns:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question).abs()


@wrong("attribution", "the order of units does not matter", **OCCLUSION)
@dataclass(frozen=True)
class FavoursLateUnits:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question) * torch.linspace(1, 1.1, len(question.units))


@wrong("attribution", "scores add up to the difference explained", claims={"complete", "signed"})
@dataclass(frozen=True)
class ClaimsToBeComplete:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@wrong("attribution", "no score is below zero", **SIZES)
@dataclass(frozen=True)
class ClaimsNoSigns:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@wrong("attribution", "it asks only for what it declares", **OCCLUSION)
@dataclass(frozen=True)
class UndeclaredGradients:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return question.pool(slopes(question))


@wrong("attribution", "two texts are explained as one", claims={"nonnegative", "pointwise"}, needs={"gradients"})
@dataclass(frozen=True)
class SharesOfTheWhole:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        sizes = question.pool(slopes(question).abs())
        return sizes / sizes.sum(1, keepdim=True)


@wrong("attribution", "two texts are explained as one", claims={"signed", "pointwise"}, needs={"gradients"})
@dataclass(frozen=True)
class LooksElsewhere:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        (gradient,) = question.gradients(0.9 * question.x[None] + 0.1 * question.baseline)
        return question.pool((gradient * (question.x - question.baseline)).sum(-1))


@wrong("attribution", "the model is ignored", claims={"ignores-model"})
@dataclass(frozen=True)
class ClaimsToIgnore:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        return without(question)


@wrong("attribution", "a wrapper around the model does not matter", claims={"nonnegative"}, needs={"internals"})
@dataclass(frozen=True)
class KnowsItsModel:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        module = question.internals.module
        stack = module.bert if "Bert" in type(module).__name__ else module.transformer
        return without(question).abs() * float(next(stack.parameters()).abs().sum())


@wrong("attribution", "a bfloat16 model is explained", claims={"nonnegative"}, needs={"internals"})
@dataclass(frozen=True)
class OnlyFloat32:
    """Source: definition."""

    def attribute(self, question: Any) -> Any:
        weight = next(question.internals.module.parameters()).detach()
        return question.pool((question.x @ weight[:4].T).abs().sum(-1).expand(len(question.targets), -1))


@wrong("attribution", "other texts beside it do not matter", **SIZES)
@dataclass(frozen=True)
class CountsItsCalls:
    """Source: definition."""

    calls: ClassVar[list[int]] = []

    def attribute(self, question: Any) -> Any:
        self.calls.append(1)
        return without(question).abs() * (1 + 0.01 * len(self.calls))
