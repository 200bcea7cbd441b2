"""Directions to start from: the centres of clusters of directions."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot

ROUNDS = 20


def centres(x: Float[Tensor, "n d"], concepts: int, generator: torch.Generator) -> Float[Tensor, "c d"]:
    """Directions (rows of length 1) around which the rows gather; a row counts by its length. In float32: a start.

    Source:
        Dhillon, Modha 2001, Machine Learning 42 (spherical k-means), seeded as in Arthur, Vassilvitskii 2007
        (k-means++), each time taking the best of 2 + log(concepts) draws.
    """
    rows = normalize(x, dim=1).float()
    weight = x.norm(dim=1)
    weight = (weight / weight.max()).float()
    directions = _spread(rows, weight, concepts, generator)
    nearest = torch.full((len(rows),), -1, device=rows.device)
    for _ in range(ROUNDS):
        before, nearest = nearest, (rows @ directions.T).argmax(dim=1)
        if torch.equal(before, nearest):
            break
        total = (weight[:, None] * one_hot(nearest, concepts)).T @ rows
        directions = torch.where(total.norm(dim=1, keepdim=True) > 0, normalize(total, dim=1), directions)
    return normalize(directions.to(x), dim=1)


def _spread(
    rows: Float[Tensor, "n d"], weight: Float[Tensor, " n"], concepts: int, generator: torch.Generator
) -> Float[Tensor, "c d"]:
    """Rows that are far from one another."""
    draws = 2 + int(math.log(concepts))
    first = torch.multinomial(weight.cpu(), 1, generator=generator).to(rows.device)
    chosen, distance = rows[first], 1 - rows @ rows[first[0]]
    for _ in range(concepts - 1):
        share = (weight * distance).clamp(min=0).cpu() + 1e-12  # all rows may have been chosen
        drawn = torch.multinomial(share, draws, replacement=True, generator=generator).to(rows.device)
        closer = torch.minimum(distance, 1 - rows[drawn] @ rows.T)
        best = (closer @ weight).argmin()
        chosen, distance = torch.cat([chosen, rows[drawn[best]][None]]), closer[best]
    return chosen
