"""Top-k activation functions: the largest codes of each row, or of a batch of rows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def topk(codes: Float[Tensor, "n c"], k: int) -> Float[Tensor, "n c"]:
    """Keeps the k largest codes of each row and sets the others to 0.

    Source:
        Gao et al. 2024, arXiv:2406.04093, equation 3.
    """
    largest = codes.topk(min(k, codes.shape[1]), dim=1, sorted=False)
    return torch.zeros_like(codes).scatter(1, largest.indices, largest.values)


def batch_topk(codes: Float[Tensor, "n c"], k: int) -> Float[Tensor, "n c"]:
    """Keeps the n * k largest codes of n rows, wherever they are, and sets the others to 0.

    Source:
        Bussmann, Leask, Nanda 2024, arXiv:2412.06410, equation 2.
    """
    flat = codes.flatten()
    largest = flat.topk(min(k * len(codes), len(flat)), sorted=False)
    return torch.zeros_like(flat).scatter(0, largest.indices, largest.values).view_as(codes)
