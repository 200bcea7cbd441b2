"""The signs of directions, where a method such as PCA or ICA leaves them arbitrary."""

from __future__ import annotations

import torch
from interp_core.activations._activations import Activations
from jaxtyping import Float
from torch import Tensor


def orient_by_skewness(
    activations: Activations, encoder: Float[Tensor, "c d"], mean: Float[Tensor, " d"]
) -> Float[Tensor, "c 1"]:
    """Compute signs that orient directions so that their rare, strong codes are positive (positive skewness).

    Args:
        activations: n rows of width d.
        encoder: (c, d) the directions, float64; codes are (x - mean) @ encoder.T.
        mean: (d) the mean that is subtracted from each row.

    Returns:
        (c, 1) the signs, float64: -1 where the sum of the cubed codes is negative, otherwise 1.

    Examples:
        >>> from interp_core.activations import mean_of, of_rows, orient_by_skewness
        >>> rows = of_rows(torch.tensor([[0.0], [0.0], [0.0], [3.0]]))
        >>> encoder = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
        >>> orient_by_skewness(rows, encoder, mean_of(rows)).tolist()
        [[1.0], [-1.0]]
    """
    cubes = torch.zeros(len(encoder), dtype=torch.float64)
    for part in activations.batches():
        cubes += ((part.double() - mean) @ encoder.T).pow(3).sum(0)
    return torch.where(cubes < 0, -1.0, 1.0).double()[:, None]
