"""What a reconstruction misses, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.activations import Activations, mean_of
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score


@dataclass(frozen=True)
class MSE:
    """Mean squared error (MSE) of the reconstruction, over all rows and dimensions.

    It is the mean of (x - x̂)², in squared units of the activations: 0 for a perfect space. Lower is better. The
    activations are read once, in batches.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="mse", chance=False).value
        0.0

    Source:
        By definition. The MSE of interpreto is a Euclidean norm, neither squared nor a mean of squares.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over rows and dimensions of the squared difference to the reconstruction"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the error of all rows.

        Returns:
            One number for all rows.
        """
        count = len(activations) * activations.width
        return Score(squared_error(space, activations) / count, self.higher_is_better)


@dataclass(frozen=True)
class ExplainedVariance:
    """Explained variance (R²): the share of the variance of the rows that the reconstruction gives back.

    It is 1 - Σ‖x - x̂‖² / Σ‖x - μ‖², where μ is the mean of all rows: 1 for a perfect space, 0 for one that always
    gives μ, negative for one that does worse. Higher is better. It does not change when the activations are scaled. The
    activations are read in batches.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="explained-variance", chance=False).value
        1.0

    Source:
        By definition; one ratio of sums over all dimensions, not a mean of ratios, so that small dimensions count for
        little.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "1 - sum of squared errors / sum of squared distances to the mean of all rows"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the explained variance of all rows.

        Returns:
            One number for all rows.

        Raises:
            InputError: all rows are equal, so that there is no variance to explain.
        """
        mean = mean_of(activations).double()
        spread = math.fsum(float((part.double() - mean).square().sum()) for part in activations.batches())
        first = next(activations.batches(1))
        if all(bool((part == first).all()) for part in activations.batches()):
            raise InputError(
                f"all {len(activations)} rows of {activations.layer!r} are equal, so there is no variance to explain; "
                "measure on varied texts, or use mse."
            )
        return Score(1 - squared_error(space, activations) / spread, self.higher_is_better)


def squared_error(space: ConceptSpace, activations: Activations) -> float:
    """Σ‖x - x̂‖² over all rows, summed in float64, reconstructed a batch of rows at a time."""
    with torch.no_grad():
        return math.fsum(float((part.double() - space(part).double()).square().sum()) for part in activations.batches())
