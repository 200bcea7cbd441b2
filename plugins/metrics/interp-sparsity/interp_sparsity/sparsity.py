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
    """Sparsity: the share of all codes (rows times concepts) that are not zero.

    The value is from 0 to 1; it is small where a row has few concepts, and a dense space, such as that of ICA, has 1.
    Lower is better among spaces that reconstruct equally well. Codes that are all zero have the best value, so read it
    beside the explained variance. The activations are encoded twice, in batches.

    Args:
        threshold: share of the largest of all absolute codes, at least 0 and below 1; a code is not zero when its
            absolute value is above it.

    Raises:
        InputError: `threshold` is outside [0, 1).

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="sparsity", chance=False).value
        0.75

    Source:
        By definition.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the codes (rows times concepts) that are not zero"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the share of non-zero codes.

        Returns:
            One number for all rows.
        """
        return Score(float(active_share(space, activations, self.threshold).mean()), self.higher_is_better)


@dataclass(frozen=True)
class SparsityRatio:
    """Sparsity ratio of interpreto: the share of non-zero codes, divided once more by the number of concepts.

    With every code active it is 1 / concepts, so that spaces of different sizes cannot be compared by it. It is there
    for comparison with that library; see `Sparsity` and `L0`. Lower is better.

    Args:
        threshold: as for `Sparsity`. That of interpreto is 0 and absolute.

    Raises:
        InputError: `threshold` is outside [0, 1).

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="sparsity-ratio", chance=False).value
        0.375

    Source:
        interpreto 0.5.2, SparsityRatio, of which this is an independent implementation.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the codes that are not zero, divided by the number of concepts"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the share of non-zero codes over the number of concepts.

        Returns:
            One number for all rows.
        """
        share = float(active_share(space, activations, self.threshold).mean())
        return Score(share / space.concepts, self.higher_is_better)


@dataclass(frozen=True)
class L0:
    """L0: the mean number of non-zero codes of a row.

    The value is from 0 to the number of concepts. Neither direction is better by itself: it is the budget at which
    reconstructions are to be compared.

    Args:
        threshold: as for `Sparsity`.

    Raises:
        InputError: `threshold` is outside [0, 1).

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="l0", chance=False).value
        1.5

    Source:
        By definition.
    """

    higher_is_better: ClassVar[bool | None] = None
    definition: ClassVar[str] = "mean over rows of the number of codes that are not zero"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the mean number of non-zero codes.

        Returns:
            One number for all rows.
        """
        return Score(float(active_share(space, activations, self.threshold).sum()), self.higher_is_better)


@dataclass(frozen=True)
class DeadConcepts:
    """Dead concepts: the share of the concepts that are active in no row.

    The value is from 0 to 1, and lower is better. With few rows a rare concept looks dead, so measure on as many rows
    as the space was learnt from.

    Args:
        threshold: as for `Sparsity`; a concept is dead when all its codes are zero.

    Raises:
        InputError: `threshold` is outside [0, 1).

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="dead-concepts", chance=False).value
        0.0

    Source:
        By definition.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "share of the concepts that are active in no row"

    threshold: float = 1e-6

    def __post_init__(self) -> None:
        _check(self.threshold)

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the share of dead concepts.

        Returns:
            One number for all rows.
        """
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
