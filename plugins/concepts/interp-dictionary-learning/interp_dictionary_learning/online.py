"""A dictionary that is improved batch by batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from interp_dictionary_learning.lasso import lasso

UNUSED = 1e-6  # mean square of the codes of a direction that no row needs, in units of the spread
NOISE = 0.01  # of the row that takes its place, as a share of the spread of that row


def learnt(
    batches: Iterable[Float[Tensor, "_ d"]], concepts: int, penalty: float, generator: torch.Generator
) -> Float[Tensor, "c d"]:
    """The dictionary after all batches, of rows in float64 in units of their spread.

    A batch with fewer rows than the first, as the last of an epoch may be, counts for as much as its rows.

    Source:
        Mairal et al. 2009, ICML, algorithm 1, with the weights of section 3.4.3 for batches; starts from the singular
        vectors of the first batch times their singular values, as scikit-learn does.
    """
    rows = 0
    for x in batches:
        if not rows:
            full = len(x)
            _, size, axes = torch.linalg.svd(x, full_matrices=False)
            dictionary = x.new_zeros(concepts, x.shape[1])
            dictionary[: len(axes)] = (size[:, None] * axes)[:concepts]
            moment, cross = x.new_zeros(concepts, concepts), torch.zeros_like(dictionary)
        codes = lasso(dictionary @ dictionary.T, x @ dictionary.T, penalty)
        rows += len(x)
        seen = rows if rows < full**2 else full**2 + rows / full - full
        keep = (seen + 1 - len(x)) / (seen + 1)
        moment = keep * moment + codes.T @ codes / full
        cross = keep * cross + codes.T @ x / full
        dictionary = improved(dictionary, moment, cross, x, generator)
    return dictionary


def improved(
    dictionary: Float[Tensor, "c d"],
    moment: Float[Tensor, "c c"],
    cross: Float[Tensor, "c d"],
    x: Float[Tensor, "n d"],
    generator: torch.Generator,
) -> Float[Tensor, "c d"]:
    """Each direction in turn at its best, of length 1 at most, for codes with this ZᵀZ and ZᵀX.

    A direction that is not used becomes a row of x with a little noise.

    Source:
        Mairal et al. 2009, ICML, algorithm 2.
    """
    better = dictionary.clone()
    for j in range(len(better)):
        if moment[j, j] > UNUSED:
            better[j] += (cross[j] - moment[j] @ better) / moment[j, j]
        else:
            row = x[torch.randint(len(x), (1,), generator=generator)[0]]
            noise = torch.randn(len(row), generator=generator, dtype=x.dtype)
            better[j] = row + NOISE * row.std(correction=0) * noise
        better[j] /= better[j].norm().clamp(min=1)
    return better
