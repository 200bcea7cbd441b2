"""Keeping the largest codes, of each row or of all rows together."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def largest(codes: Float[Tensor, "n c"], count: int) -> Float[Tensor, "n c"]:
    """The `count` largest of each row; the others are 0."""
    found = codes.topk(min(count, codes.shape[1]), dim=1)
    return torch.zeros_like(codes).scatter(1, found.indices, found.values)


def largest_of_all(codes: Float[Tensor, "n c"], count: int) -> Float[Tensor, "n c"]:
    """The `count` largest for each row on average, wherever they are; the others are 0."""
    flat = codes.flatten()
    found = flat.topk(min(count * len(codes), len(flat)))
    return torch.zeros_like(flat).scatter(0, found.indices, found.values).view_as(codes)
