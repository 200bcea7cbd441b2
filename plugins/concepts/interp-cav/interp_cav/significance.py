"""Whether scores differ from random ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor


def two_sided(one: Float[Tensor, "*b r"], other: Float[Tensor, "*b s"]) -> Float[Tensor, "*b"]:
    """The p-value of two samples having one mean, by Student's t; 1 where all values are equal.

    The variance is that of both together since, if a concept means nothing, its scores are distributed as the random
    ones are. Where a logit is linear they are only 0 and 1, and those of a concept that matters do not vary at all.
    """
    r, s = one.shape[-1], other.shape[-1]
    pooled = (one.var(-1) * (r - 1) + other.var(-1) * (s - 1)) / (r + s - 2)
    t = (one.mean(-1) - other.mean(-1)) / (pooled * (1 / r + 1 / s)).sqrt()
    p = torch.as_tensor(2 * student.sf(t.abs().numpy(), r + s - 2))
    return torch.where(t.isnan(), torch.ones_like(p), p)


def holm(p: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """The p-values of all tests together: below 0.05, nothing is found where nothing is in 95 of 100 such families.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6(2):65-70.
    """
    order = p.flatten().argsort()
    left = torch.arange(p.numel(), 0, -1, dtype=p.dtype)
    corrected = (p.flatten()[order] * left).cummax(0).values.clamp(max=1)
    return torch.empty_like(corrected).index_copy_(0, order, corrected).reshape(p.shape)
