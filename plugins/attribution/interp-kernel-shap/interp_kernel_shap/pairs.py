"""Which pairs of a subset and its complement are taken: whole sizes from the outside in, then a sample of the rest;
halves where there are fewer pairs than units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of subsets that are each other's complement.

    Attributes:
        inside: (p, u) the units of one of the two.
        weight: (p) how much of the Shapley kernel a pair stands for.
        open: (p) the share of the pairs of its size that are not taken; 0 where nothing is left to chance.
    """

    inside: Bool[Tensor, "p u"]
    weight: Float[Tensor, " p"]
    open: Float[Tensor, " p"]


def count_all(u: int) -> int:
    """How many pairs there are, the one of the intact and the empty text not counted."""
    return (1 << (u - 1)) - 1


def count_of_size(u: int, size: int) -> int:
    """How many pairs have `size` units on their smaller side."""
    return comb(u, size) // (2 if 2 * size == u else 1)


def kernel(u: int, size: int) -> float:
    """The Shapley kernel of all pairs of a size together, (u - 1) / (size (u - size)), halved where both sides are of
    one size.
    """
    return (u - 1) / (size * (u - size)) / (2 if 2 * size == u else 1)


def outside_in(u: int, count: int, seed: int, *, few: bool = False) -> Pairs:
    """So many pairs: all of a size where a sample would have as many, from the smallest size on, and a sample of the
    others. `few`: halves alone.
    """
    generator = torch.Generator().manual_seed(seed)
    offset, *seeds = torch.randint(2**62, (1 + u // 2,), generator=generator).tolist()
    rows: list[list[int]] = []
    weights: list[float] = []
    opens: list[float] = []
    for size, number, weight in halves(u, count) if few else numbers(u, count, offset / 2**62):
        whole = count_of_size(u, size)
        rows += every(u, size) if number == whole else sample(u, size, number, seeds[size - 1])
        weights += [weight] * number
        opens += [1 - number / whole] * number
    inside = torch.zeros(len(rows), u, dtype=torch.bool)
    for i, row in enumerate(rows):
        inside[i, row] = True
    return Pairs(inside, torch.tensor(weights, dtype=torch.float64), torch.tensor(opens, dtype=torch.float64))


def numbers(u: int, count: int, offset: float) -> Iterator[tuple[int, int, float]]:
    """For each size from 1 on how many pairs to take, and the weight of each of them.

    The pairs that are sampled stand at even distances, from `offset` (in [0, 1)) on, along the kernel of the sizes
    that are not taken whole, so that each size has as many as it should, rounded up or down.
    """
    left, rest = count, sum(kernel(u, size) for size in range(1, u // 2 + 1))
    first = 1
    while left and first <= u // 2 and left * kernel(u, first) / rest >= count_of_size(u, first):
        yield first, count_of_size(u, first), kernel(u, first) / count_of_size(u, first)
        left, rest, first = left - count_of_size(u, first), rest - kernel(u, first), first + 1
    done, passed = 0, 0.0
    for size in range(first, u // 2 + 1) if left else ():
        passed += kernel(u, size)
        until = left if size == u // 2 else min(left, max(0, ceil(left * passed / rest - offset)))
        if until > done:
            yield size, until - done, rest / left
        done = until


def halves(u: int, count: int) -> Iterator[tuple[int, int, float]]:
    """All pairs of half of the units, with what the kernel weighs the squares of a line's scores in all sizes together.

    Fewer pairs than units do not determine the line, and a line that goes through all of them has no use for weights:
    what counts is how much each pair tells. A pair of one unit and the rest tells of that unit alone; a pair of halves
    tells of all.
    """
    if count:
        size = u // 2
        yield size, count, (u - 1) ** 2 / (2 * size * (u - size) * count)


def every(u: int, size: int) -> list[list[int]]:
    """All subsets of a size, or those with the first unit where their complements are of the same size."""
    if 2 * size == u:
        return [[0, *row] for row in combinations(range(1, u), size - 1)]
    return [list(row) for row in combinations(range(u), size)]


def sample(u: int, size: int, number: int, seed: int) -> list[list[int]]:
    """So many different subsets of a size, no two of them each other's complement. A larger number only adds to it."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < number:
        order = torch.randperm(u, generator=generator).tolist()
        side = order[:size] if 2 * size != u or 0 in order[:size] else order[size:]
        found[tuple(sorted(side))] = None
    return [list(row) for row in found]
