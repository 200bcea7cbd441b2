"""The units that an autoencoder is trained in, so that the same hyperparameters fit all layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

MAX_ITERATIONS = 100
TOLERANCE = 1e-6  # of the length of a row: rows that differ by less are equal up to rounding


class InputScaling(NamedTuple):
    """Takes the centre off each row and multiplies by a scale, so that a typical coordinate is 1.

    Attributes:
        centre: (d), the geometric median of the rows, in the units of the activations.
        scale: a number above 0; the scaled rows have a mean length of sqrt(d).
        variance: of a coordinate of the scaled rows, averaged over coordinates.
    """

    centre: Float[Tensor, " d"]
    scale: Float[Tensor, ""]
    variance: Float[Tensor, ""]

    def to(self, device: torch.device) -> InputScaling:
        """The same scaling on a device."""
        return InputScaling(*(part.to(device) for part in self))

    def apply(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Scaled rows, which is what networks are trained on."""
        return (rows - self.centre).mul_(self.scale)


def input_scaling_of(sample: Float[Tensor, "m d"], layer: str) -> InputScaling:
    """Estimates the scaling from a sample of the rows of a layer.

    Args:
        sample: (m, d) rows, at least 2.
        layer: its name, for messages.

    Raises:
        InputError: all rows are equal, or there is only one.
    """
    rows = sample.double()
    if len(rows) < 2 or float(_mean_distance(rows)) <= TOLERANCE * float(rows.norm(dim=1).mean()):
        raise InputError(
            f"the {len(rows)} rows of {layer!r} are all equal; there is nothing to learn from. Give more varied texts."
        )
    centre = geometric_median(rows)
    length = (rows - centre).norm(dim=1).mean()
    scale = rows.shape[1] ** 0.5 / length
    variance = (rows * scale).var(0, correction=0).mean()
    return InputScaling(centre.float(), scale.float(), variance.float())


def geometric_median(rows: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """The point with the smallest sum of distances to the rows.

    Source:
        Weiszfeld 1937, stopped after 100 iterations; Bricken et al. 2023 initialise the decoder's bias with it.
    """
    point = rows.mean(0)
    least = TOLERANCE * _mean_distance(rows)
    for _ in range(MAX_ITERATIONS):
        weight = 1 / (rows - point).norm(dim=1).clamp(min=float(least))
        before, point = point, (weight[:, None] * rows).sum(0) / weight.sum()
        if (point - before).norm() <= least:
            break
    return point


def _mean_distance(rows: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The mean distance of the rows from their mean."""
    length: Tensor = (rows - rows.mean(0)).norm(dim=1)
    return length.mean()
