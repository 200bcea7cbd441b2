"""The mean and second moments of any number of rows, and their principal directions, computed in float64."""

from __future__ import annotations

import torch
from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

FLOAT32 = 1.2e-7  # relative precision of activations


def mean_of(activations: Activations) -> Float[Tensor, " d"]:
    """Compute the mean of all rows, accumulated in float64 over batches.

    Args:
        activations: n rows of width d.

    Returns:
        (d) the mean, float32.

    Raises:
        InputError: there are no rows.

    Examples:
        >>> from interp_core.activations import mean_of, of_rows
        >>> mean_of(of_rows(torch.tensor([[0.0, 1.0], [4.0, 1.0]])))
        tensor([2., 1.])
    """
    if not len(activations):
        raise InputError("there are no rows, so they have no mean; give at least one.")
    total = torch.zeros(activations.width, dtype=torch.float64)
    for part in activations.batches():
        total += part.sum(0, dtype=torch.float64)
    return (total / len(activations)).float()


def moments(activations: Activations, *, centred: bool = True) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Compute the mean μ and the second moments 1/n Σ (x - μ)(x - μ)ᵀ of the rows.

    Reads the rows once, and needs memory for one batch and two matrices (d, d).

    Args:
        activations: n rows of width d.
        centred: whether moments are about the mean (the covariance); otherwise they are about the origin, with μ = 0.

    Returns:
        The mean (d), zero if not centred, and the second moments (d, d), both float64.

    Raises:
        InputError: there are no rows.

    Examples:
        >>> from interp_core.activations import moments, of_rows
        >>> rows = of_rows(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
        >>> mean, covariance = moments(rows)
        >>> mean.tolist(), covariance.tolist()
        ([2.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])
        >>> moments(rows, centred=False)[1].tolist()
        [[5.0, 0.0], [0.0, 0.0]]
    """
    if not len(activations):
        raise InputError("there are no rows, so they have no moments; give at least one.")
    width = activations.width
    about = torch.zeros(width, dtype=torch.float64)
    if centred:
        about += next(activations.batches(1))[0]  # a point near the rows, so that no digits cancel
    total, squares = torch.zeros_like(about), torch.zeros(width, width, dtype=torch.float64)
    for part in activations.batches():
        rows = part.double() - about
        total += rows.sum(0)
        squares.addmm_(rows.T, rows)
    squares /= len(activations)
    if not centred:
        return about, squares
    shift = total / len(activations)
    return about + shift, squares - torch.outer(shift, shift)


def directions(
    squares: Float[Tensor, "d d"], concepts: int, method: str, activations: Activations, about: str = "their mean"
) -> tuple[Float[Tensor, " r"], Float[Tensor, "r d"]]:
    """Compute the eigenvectors of second moments whose eigenvalues exceed the rounding error of float32 activations.

    Args:
        squares: (d, d) the second moments, as `moments` returns them.
        concepts: the minimum number of directions.
        method: the name of the method, for the error message.
        activations: the activations that the moments are of, for the error message.
        about: the point that the moments are about, for the error message.

    Returns:
        The r eigenvalues (r) in descending order, and the eigenvectors of length 1 as rows (r, d).

    Raises:
        InputError: there are fewer than `concepts` directions.

    Examples:
        >>> from interp_core.activations import directions, moments, of_rows
        >>> rows = of_rows(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
        >>> _, covariance = moments(rows)
        >>> variances, axes = directions(covariance, 2, "pca", rows)
        >>> variances.tolist()
        [4.5, 0.5]
        >>> axes.abs().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    values, vectors = torch.linalg.eigh(squares)
    width = len(squares)
    rank = int((values > values[-1] * (width * FLOAT32) ** 2).sum())
    if concepts > rank:
        raise InputError(
            f"{method} was asked for {concepts} concepts, but the {len(activations)} rows of {activations.layer!r} "
            f"about {about} span {rank} of {width} directions; ask for at most {rank}, or give more varied texts."
        )
    return values.flip(0)[:rank], vectors.T.flip(0)[:rank]
