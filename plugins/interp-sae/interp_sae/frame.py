"""The units that an autoencoder is trained in, so that the same hyperparameters fit all layers."""

from __future__ import annotations

from typing import NamedTuple

from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

ROUNDS = 100
SAME = 1e-6  # of the length of a row: rows that differ by less are equal up to rounding


class Frame(NamedTuple):
    """Rows less the centre, times the scale: of mean length sqrt(d), so that a typical coordinate is 1.

    Attributes:
        centre: (d), the geometric median.
        scale: a number.
        variance: of a coordinate of the scaled rows, on average.
    """

    centre: Float[Tensor, " d"]
    scale: Float[Tensor, ""]
    variance: Float[Tensor, ""]

    def inside(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Rows in these units."""
        return (rows - self.centre) * self.scale


def frame_of(sample: Float[Tensor, "m d"], layer: str) -> Frame:
    """The frame of a sample of the rows of a layer.

    Raises:
        InputError: all of the rows are equal, or there is one.
    """
    rows = sample.double()
    if len(rows) < 2 or float(_spread(rows)) <= SAME * float(rows.norm(dim=1).mean()):
        raise InputError(
            f"the {len(rows)} rows of {layer!r} are all equal; there is nothing to learn from. Give more varied texts."
        )
    centre = geometric_median(rows)
    length = (rows - centre).norm(dim=1).mean()
    scale = rows.shape[1] ** 0.5 / length
    variance = (rows * scale).var(0, correction=0).mean()
    return Frame(centre.float(), scale.float(), variance.float())


def geometric_median(rows: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """The point whose distances to the rows have the smallest sum.

    Source: Weiszfeld 1937, stopped after 100 rounds; the start of the decoder's bias in Bricken et al. 2023.
    """
    point = rows.mean(0)
    least = SAME * _spread(rows)
    for _ in range(ROUNDS):
        weight = 1 / (rows - point).norm(dim=1).clamp(min=float(least))
        before, point = point, (weight[:, None] * rows).sum(0) / weight.sum()
        if (point - before).norm() <= least:
            break
    return point


def _spread(rows: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """How far rows are from their mean, on average."""
    length: Tensor = (rows - rows.mean(0)).norm(dim=1)
    return length.mean()
