"""Counts of codes that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Sparsity:
    """The share of all codes that are not zero: 0 to 1, few concepts a row make it small.

    Lower is better among spaces that reconstruct equally well; codes that are all zero have the best value, so read it
    beside the explained variance. A dense space, such as ICA's, has 1.

    Args:
        threshold: a code is not zero when its size is above this share of the largest of all codes.

    Source: definition.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the codes (rows times concepts) that are not zero"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        return Score(float(active_share(space, activations, self.threshold).mean()), self.higher_is_better)


@dataclass(frozen=True)
class SparsityRatio:
    """The share of the codes that are not zero, divided once more by the number of concepts.

    The number that interpreto calls sparsity ratio: with every code active it is 1 / concepts, so that spaces of
    different sizes cannot be compared by it. It is here for comparison with that library; see `Sparsity` and `L0`.

    Args:
        threshold: as for `Sparsity`. interpreto's is 0 and absolute.

    Source: interpreto 0.5.2, SparsityRatio, of which this is an independent definition.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the codes that are not zero, divided by the number of concepts"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        share = float(active_share(space, activations, self.threshold).mean())
        return Score(share / space.concepts, self.higher_is_better)


@dataclass(frozen=True)
class L0:
    """How many codes of a row are not zero, on average over rows: 0 to the number of concepts.

    Neither direction is better by itself: it is the budget at which reconstructions are to be compared.

    Args:
        threshold: as for `Sparsity`.

    Source: definition.
    """

    higher_is_better: ClassVar[bool | None] = None
    definition: ClassVar[str] = "mean over rows of the number of codes that are not zero"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        return Score(float(active_share(space, activations, self.threshold).sum()), self.higher_is_better)


@dataclass(frozen=True)
class DeadConcepts:
    """The share of the concepts that are active in no row: 0 to 1.

    On few rows a rare concept looks dead; measure on as many as the space was learnt from.

    Args:
        threshold: as for `Sparsity`; a concept is dead when all of its codes are zero.

    Source: definition.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the concepts that are active in no row"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        dead = active_share(space, activations, self.threshold) == 0
        return Score(float(dead.double().mean()), self.higher_is_better)


def active_share(space: ConceptSpace, activations: Activations, threshold: float) -> Float[Tensor, " c"]:
    """The share of the rows in which each concept is active, in float64.

    A code is held against the largest of all codes, so that scaling the activations changes nothing and rounding is
    zero.
    """
    with torch.no_grad():
        largest = max(float(space.encode(part).abs().max()) for part in activations.batches())
        counts = [(space.encode(part).abs() > threshold * largest).sum(0) for part in activations.batches()]
    return torch.stack(counts).sum(0).double() / len(activations)


def _check(threshold: float) -> None:
    if not 0 <= threshold < 1:
        raise InputError(f"threshold {threshold} is outside [0, 1): it is a share of the largest code.")
