"""Mean and second moments of any number of rows, and the directions that carry them; in float64."""

from __future__ import annotations

import torch
from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

FLOAT32 = 1.2e-7  # activations carry no more digits than this


def mean_of(activations: Activations) -> Float[Tensor, " d"]:
    """The mean row, summed in float64, some rows at a time."""
    total = torch.zeros(activations.width, dtype=torch.float64)
    for part in activations.batches():
        total += part.sum(0, dtype=torch.float64)
    return (total / len(activations)).float()


def moments(activations: Activations, *, centred: bool = True) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """The mean row, and the mean of the products of its dimensions: 1/n Σ (x - μ)(x - μ)ᵀ.

    One pass over the rows; memory for a batch of them and two matrices (d, d).

    Args:
        activations: of any number of rows.
        centred: the mean is taken off first, so that the products are the covariance; else both are about the origin,
            and the mean that is given back is zero.
    """
    width = activations.width
    about = torch.zeros(width, dtype=torch.float64)
    if centred:
        about += next(activations.batches(1))[0]  # near the rows, so that a far origin costs no digits
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
    """The eigenvalues of second moments, greatest first, and their eigenvectors (rows of length 1).

    Only those larger than the rounding of float32 activations.

    Args:
        squares: what `moments` gave.
        concepts: how many there must be at least.
        method: what the message calls who asks.
        activations: what the message says the moments are of.
        about: what the message says they are about.

    Raises:
        InputError: there are fewer than `concepts`.
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


def orient_by_skewness(
    activations: Activations, encoder: Float[Tensor, "c d"], mean: Float[Tensor, " d"]
) -> Float[Tensor, "c 1"]:
    """1 for each direction whose codes (x - mean)·e have a sum of cubes of at least zero, -1 for the others.

    A direction multiplied by it has its rare strong activities on the positive side, so that "active" means positive.
    """
    cubes = torch.zeros(len(encoder), dtype=torch.float64)
    for part in activations.batches():
        cubes += ((part.double() - mean) @ encoder.T).pow(3).sum(0)
    return torch.where(cubes < 0, -1.0, 1.0).double()[:, None]
