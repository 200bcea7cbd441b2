"""Concept methods: three that keep their promises, and what goes wrong with spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from interp_core.concepts import AffineSpace, ConceptSpace
from torch import Tensor
from wrong_methods.catalogue import right, wrong

SVD = {"claims": {"decodes", "recovers"}}
LABELS = {"needs": {"labels"}}


def leading(activations: Any, count: int) -> tuple[Tensor, Tensor]:
    """The directions in which rows vary most (c, d), and the mean row."""
    rows = activations.matrix()
    mean = rows.mean(0)
    return torch.linalg.svd(rows - mean, full_matrices=False).Vh[:count].clone(), mean


class ProjectedSpace(ConceptSpace):
    """A code is the coordinate along its direction, or 0 if it is not above a limit."""

    mean: Tensor

    def __init__(self, dictionary: Tensor, mean: Tensor, limit: float = -1e9) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean)
        self.limit = limit

    def config(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def encode(self, values: Tensor) -> Tensor:
        codes = (values - self.mean) @ self.dictionary.T
        return codes * (codes > self.limit)

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.dictionary + self.mean


@right("concepts", **SVD)
@dataclass(frozen=True)
class SoundDirections:
    """Args:
        concepts: how many.
        limit: below which a code is 0.

    Source: definition.
    """

    concepts: int = 20
    limit: float = -1e9

    def fit(self, activations: Any) -> ConceptSpace:
        return ProjectedSpace(*leading(activations, self.concepts), limit=self.limit)


@right("concepts", claims={"nonnegative"})
@dataclass(frozen=True)
class SoundPositives:
    """Args:
        concepts: how many.

    Source: definition.
    """

    concepts: int = 20

    def fit(self, activations: Any) -> ConceptSpace:
        return ProjectedSpace(*leading(activations, self.concepts), limit=0.0)


@right("concepts", **LABELS)
@dataclass(frozen=True)
class SoundClassMeans:
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return AffineSpace(*class_means(activations))


def class_means(activations: Any, scale: Any = 1.0) -> tuple[Tensor, Tensor]:
    """What sets the mean row of each class apart from the others, as directions to add and to read."""
    rows, member = activations.matrix(), activations.membership()
    apart = torch.stack([rows[m].mean(0) - rows[~m].mean(0) for m in member.T]) / scale
    return apart, apart


@wrong("concepts", "it survives saving", **SVD)
@dataclass(frozen=True)
class LosesItsConfig:
    """Args:
        concepts: how many.
        limit: below which a code is 0.

    Source: definition.
    """

    concepts: int = 20
    limit: float = 0.1

    def fit(self, activations: Any) -> ConceptSpace:
        return ForgetfulSpace(*leading(activations, self.concepts), limit=self.limit)


class ForgetfulSpace(ProjectedSpace):
    """Has the default of its method as its own, so that only another value is lost."""

    def __init__(self, dictionary: Tensor, mean: Tensor, limit: float = 0.1) -> None:
        super().__init__(dictionary, mean, limit)

    def config(self) -> dict[str, Any]:
        return {}


@wrong("concepts", "it learns as many concepts as asked for", **SVD)
@dataclass(frozen=True)
class AlwaysFive:
    """Args:
        concepts: how many.

    Source: definition.
    """

    concepts: int = 20

    def fit(self, activations: Any) -> ConceptSpace:
        return ProjectedSpace(*leading(activations, 5))


@wrong("concepts", "it learns as many concepts as asked for", **SVD)
@dataclass(frozen=True)
class NamesOfOthers:
    """Args:
        concepts: how many.

    Source: definition.
    """

    concepts: int = 20

    def fit(self, activations: Any) -> ConceptSpace:
        space = ProjectedSpace(*leading(activations, self.concepts))
        space.names = [f"dimension {i}" for i in range(activations.width)]
        return space


@wrong("concepts", "its claims and needs are those of its kind", claims={"signed", "complete"})
@dataclass(frozen=True)
class ClaimsOfScores:
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return ProjectedSpace(*leading(activations, 4))


@wrong("concepts", "what it is handed is not changed", **SVD)
@dataclass(frozen=True)
class CentresInPlace(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        rows = activations.matrix()
        rows -= rows.mean(0)
        return super().fit(activations)


@wrong("concepts", "encoding leaves the rows as they were", **SVD)
@dataclass(frozen=True)
class EncodesInPlace(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return InPlaceSpace(*leading(activations, self.concepts))


class InPlaceSpace(ProjectedSpace):
    """Subtracts the mean in place."""

    def encode(self, values: Tensor) -> Tensor:
        codes: Tensor = values.detach().sub_(self.mean) @ self.dictionary.T
        values.detach().add_(self.mean)
        return codes


@wrong("concepts", "each row is encoded by itself", **SVD)
@dataclass(frozen=True)
class EncodesRowsTogether(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return TogetherSpace(*leading(activations, self.concepts))


class TogetherSpace(ProjectedSpace):
    """Centres the rows that come together."""

    def encode(self, values: Tensor) -> Tensor:
        return (values - values.mean(0)) @ self.dictionary.T


@wrong("concepts", "codes can be differentiated", **SVD)
@dataclass(frozen=True)
class WithoutSlopes(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return SlopelessSpace(*leading(activations, self.concepts))


class SlopelessSpace(ProjectedSpace):
    """Encodes without a graph."""

    def encode(self, values: Tensor) -> Tensor:
        return super().encode(values.detach())


@wrong("concepts", "codes are not negative", claims={"nonnegative"})
@dataclass(frozen=True)
class ClaimsPositives(SoundDirections):
    """Source: definition."""


@wrong("concepts", "it beats the mean", claims={"decodes"})
@dataclass(frozen=True)
class DecodesTwice(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        directions, mean = leading(activations, self.concepts)
        return ProjectedSpace(2 * directions, mean)


@wrong("concepts", "the planted dictionary is found", claims={"recovers"})
@dataclass(frozen=True)
class RandomDirections(SoundDirections):
    """Args:
        concepts: how many.
        seed: of the directions.

    Source: definition.
    """

    seed: int = 0

    def fit(self, activations: Any) -> ConceptSpace:
        noise = torch.randn(self.concepts, activations.width, generator=torch.Generator().manual_seed(self.seed))
        return ProjectedSpace(noise, activations.matrix().mean(0))


@wrong("concepts", "other activations give another space", claims={"seeded"})
@dataclass(frozen=True)
class SameDirectionsForAll(RandomDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return super().fit(activations)


@wrong("concepts", "its surroundings are left as they were", claims={"seeded"})
@dataclass(frozen=True)
class GlobalDraws(SoundDirections):
    """Args:
        seed: of the rows that are read.

    Source: definition.
    """

    seed: int = 0

    def fit(self, activations: Any) -> ConceptSpace:
        np.random.seed(self.seed)
        rows = activations.matrix()[np.random.permutation(len(activations))]
        return ProjectedSpace(
            torch.linalg.svd(rows - rows.mean(0), full_matrices=False).Vh[: self.concepts].clone(), rows.mean(0)
        )


@wrong("concepts", "the same seed gives the same space", claims={"decodes"})
@dataclass(frozen=True)
class OtherRowsEachTime(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        generator = torch.Generator()
        generator.seed()
        rows = activations.sample(60, generator)
        mean = rows.mean(0)
        return ProjectedSpace(torch.linalg.svd(rows - mean, full_matrices=False).Vh[: self.concepts].clone(), mean)


@wrong("concepts", "a store gives the same space", **SVD)
@dataclass(frozen=True)
class FirstBatchOnly(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        rows = next(iter(activations.batches()))
        mean = rows.mean(0)
        return ProjectedSpace(torch.linalg.svd(rows - mean, full_matrices=False).Vh[: self.concepts].clone(), mean)


@wrong("concepts", "a direction leads to its class", **LABELS)
@dataclass(frozen=True)
class StandardisesDimensions:
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        spread = activations.matrix().std(0)
        return AffineSpace(*class_means(activations, spread.square()))


@wrong("concepts", "a direction leads to its class", **LABELS)
@dataclass(frozen=True)
class OneDirectionForTwoClasses:
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        directions, _ = class_means(activations)
        same = directions[:1].expand(len(directions), -1).clone() if len(directions) == 2 else directions
        return AffineSpace(same, same)


@wrong("concepts", "untidy rows are encoded", claims={"decodes"})
@dataclass(frozen=True)
class OverflowsOnLargeDimensions(SoundDirections):
    """Source: definition."""

    def fit(self, activations: Any) -> ConceptSpace:
        return ExponentialSpace(*leading(activations, self.concepts))


class ExponentialSpace(ProjectedSpace):
    """Takes the logarithm of a sum of exponentials without care for large numbers."""

    def encode(self, values: Tensor) -> Tensor:
        codes = (values - self.mean) @ self.dictionary.T
        return (codes.exp() + 1e-12).log()
