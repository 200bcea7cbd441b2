"""The tolerance for rounding between two outputs of a model, which depends on the number format of its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXACT = 1e-4  # share of the largest number, for float32: kernels of different order of summation differ by less
ROUNDINGS = 8  # of half-precision formats, in units of their resolution


def rounding(model: nn.Module, roundings: int = ROUNDINGS, *, autocast: str | None = None) -> float:
    """The share of the largest number of an output by which two ways of computing it may differ.

    Args:
        model: the model; the coarsest number format among its weights counts.
        roundings: how many roundings of a half-precision format may add up: 1 where the same kernels run on equal
            shapes, more where they do not.
        autocast: the format of the matrix products, if passes ran in autocast.

    Returns:
        1e-4 for float32 and float64; for 8 roundings .008 for float16 and .0625 for bfloat16.
    """
    formats = {p.dtype for p in model.parameters() if p.is_floating_point()}
    formats |= {getattr(torch, autocast)} if autocast else set()
    return max([EXACT, *(roundings * torch.finfo(kind).eps for kind in formats)])


def agree(one: Tensor, other: Tensor, share: float) -> bool:
    """Whether two outputs differ by at most this share of the largest number in them; infinities must coincide."""
    if one.shape != other.shape:
        return False
    one, other = one.float().cpu(), other.float().cpu()
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)) or not torch.equal(one[~finite], other[~finite]):
        return False
    size = torch.stack([one[finite].abs().amax(), other[finite].abs().amax()]).amax() if finite.any() else 0.0
    return bool(((one - other)[finite].abs() <= share * size).all())
