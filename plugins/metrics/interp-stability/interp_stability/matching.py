"""Pairs of directions of two dictionaries."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize


def cosines(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"]) -> Float[Tensor, "a b"]:
    """Of each direction with each, in float64; 0 where one of the two has no length."""
    return normalize(one.double(), dim=1) @ normalize(other.double(), dim=1).T


def matched(gain: Float[Tensor, "a b"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """The pairing one to one of the greatest total gain: its rows and its columns, as many as the smaller side has.

    Source:
        Kuhn 1955, Naval Research Logistics Quarterly 2 (the Hungarian method), as in scipy.
    """
    rows, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    return torch.from_numpy(rows), torch.from_numpy(columns)
