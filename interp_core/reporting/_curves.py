"""Curves of metrics: of texts of different lengths at the same shares of units, and their mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from interp_core.statistics import interval_of_mean
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Band:
    """A mean curve (p); below and above it its 95 % interval over inputs, which is empty for fewer than five."""

    mean: list[float]
    low: list[float]
    high: list[float]


def resampled(curves: Sequence[Float[Tensor, " p"]], points: int) -> NDArray[np.float64]:
    """The heights (n, points) of n curves at equally spaced shares of their steps. One point is as high everywhere."""
    share = np.linspace(0, 1, points)
    rows = []
    for curve in curves:
        heights = curve.double().expand(2) if len(curve) == 1 else curve.double()
        rows.append(np.interp(share, np.linspace(0, 1, len(heights)), heights.numpy()))
    return np.stack(rows)


def band_of(curves: Sequence[Float[Tensor, " p"]], points: int) -> Band:
    """The mean of curves, and its interval at each point."""
    heights = torch.from_numpy(resampled(curves, points))
    intervals = [interval_of_mean(column) for column in heights.T]
    known = [one for one in intervals if one is not None]
    low, high = ([one[side] for one in known] for side in (0, 1)) if len(known) == points else ([], [])
    return Band(heights.mean(0).tolist(), list(low), list(high))
