"""Ranks, and a correlation that says when there is nothing to correlate."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-6  # of the largest value: what differs by rounding alone


def rounding(*values: Tensor) -> float:
    """How much the difference of two of these values can be off, or of sums of them."""
    return TINY * max((float(v.abs().max()) for v in values if v.numel()), default=0.0)


def ranks(values: Float[Tensor, " n"], least: float) -> Float[Tensor, " n"]:
    """The rank of each value; values that a chain of gaps of at most `least` connects share the mean of their ranks."""
    ordered, order = values.double().sort()
    group = torch.cat([ordered.new_zeros(min(1, len(values))), (ordered.diff() > least).double()]).cumsum(0).long()
    places = torch.arange(len(values), dtype=torch.float64)
    total = torch.zeros_like(places).index_add_(0, group, places)
    mean = total / torch.bincount(group, minlength=len(values))
    return torch.empty_like(places).index_copy_(0, order, mean[group])


def pearson(
    one: Float[Tensor, " n"], other: Float[Tensor, " n"], least: tuple[float, float] = (0.0, 0.0)
) -> Float[Tensor, ""]:
    """Pearson's correlation; NaN where one of them, or no value, differs from their mean by more than `least`."""
    centred = [v.double() - v.double().mean() for v in (one, other)]
    if not all(bool((v.abs() > far).any()) for v, far in zip(centred, least, strict=True)):
        return torch.tensor(torch.nan, dtype=torch.float64)
    left, right = centred
    cosine: Tensor = (left @ right) / (left.norm() * right.norm())
    return cosine.clamp(-1, 1)
