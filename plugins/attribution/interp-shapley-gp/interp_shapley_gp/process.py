"""A Gaussian process over pairs of a subset and its complement, and the pairs after which it knows most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import comb

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ALONE, HIGHER = 1e4, 0.05  # the variance of what units do alone, and of each order in shares of the order before it
ORDERS = 6  # as many odd orders; the variance of the next would be 2e-8 of what units do alone
NUGGET = 1e-9
POOL = 2048  # pairs of which some are chosen, or all that there are
MOST = 1024  # are chosen; what follows is drawn


@dataclass(frozen=True, eq=False)
class Process:
    """Half the score of a subset less that of its complement, as a Gaussian process.

    With z = 1 for a unit that is kept and -1 for another, that half is a sum over sets of an odd number m of units, of
    a weight times the product of their z. The weights of an order m are independent and have together the variance
    w_m. Of a weight each unit of its set has 2 / m of it as its Shapley value.

    Attributes:
        units: the number u of units.
        between: (u + 1) the covariance of two subsets by the number of units in which they differ.
        with_value: (u) the covariance of a unit's Shapley value and a subset that keeps the unit, by the number of
            other units that it does not keep.
        variance: of a Shapley value.
    """

    units: int
    between: Float[Tensor, " h"]
    with_value: Float[Tensor, " u"]
    variance: float

    @classmethod
    def of(cls, units: int) -> Process:
        """The process for so many units."""
        orders = list(range(1, units + 1, 2))[:ORDERS]
        weights = [ALONE if m == 1 else HIGHER ** ((m - 3) // 2) for m in orders]
        between = sum(
            w * torch.tensor([_agreement(units, m, h) for h in range(units + 1)], dtype=torch.float64)
            for m, w in zip(orders, weights, strict=True)
        )
        with_value = sum(
            2 / units * w * torch.tensor([_agreement(units - 1, m - 1, h) for h in range(units)], dtype=torch.float64)
            for m, w in zip(orders, weights, strict=True)
        )
        variance = sum(4 / (units * m) * w for m, w in zip(orders, weights, strict=True))
        return cls(units, torch.as_tensor(between), torch.as_tensor(with_value), variance)

    def covariance(self, one: Bool[Tensor, "p u"], other: Bool[Tensor, "q u"]) -> Float[Tensor, "p q"]:
        """The covariance of subsets."""
        return self.between[_differences(one, other)]

    def covariance_with_values(self, subsets: Bool[Tensor, "p u"]) -> Float[Tensor, "p u"]:
        """The covariance of subsets and Shapley values."""
        missing = (~subsets).sum(dim=1, keepdim=True)
        kept = self.with_value[(missing - (~subsets).long()).clamp(min=0)]
        return torch.where(subsets, kept, -kept)

    def fitted(
        self, subsets: Bool[Tensor, "p u"], halves: Float[Tensor, "p k"]
    ) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """The Shapley values given what was seen, and their standard deviations.

        Args:
            subsets: subsets, the whole text among them.
            halves: half the score of each less that of its complement.
        """
        root = torch.linalg.cholesky(self.covariance(subsets, subsets) + NUGGET * ALONE * torch.eye(len(subsets)))
        seen = torch.linalg.solve_triangular(root, halves, upper=False)  # (p, k)
        told = torch.linalg.solve_triangular(root, self.covariance_with_values(subsets), upper=False)  # (p, u)
        scale = seen.square().sum(dim=0) / max(1, len(subsets) - self.units)
        left = (self.variance - told.square().sum(dim=0)).clamp(min=0)
        return seen.T @ told, (scale[:, None] * left).sqrt()


@lru_cache(maxsize=64)
def chosen(units: int, count: int, seed: int) -> Bool[Tensor, "p u"]:
    """The whole text and `count` subsets, each after the others that which tells most of the Shapley values.

    A larger count only adds to a smaller one, up to `MOST`. Of each pair one subset is taken.
    """
    process, pool = Process.of(units), _pool(units, count, seed)
    told = process.covariance_with_values(pool)  # (p, u), less what is known from those that were taken
    left = torch.full((len(pool),), float(process.between[0]), dtype=torch.float64)
    steps = min(count, MOST)
    taken, columns = [0], torch.zeros(len(pool), steps, dtype=torch.float64)
    for i in range(steps):
        at = taken[-1]
        column = process.covariance(pool, pool[at : at + 1])[:, 0] - columns[:, :i] @ columns[at, :i]
        column = column / (left[at] + NUGGET * ALONE).sqrt()
        columns[:, i] = column
        told = told - column[:, None] * (told[at] / (left[at] + NUGGET * ALONE).sqrt())
        left = left - column.square()
        gain = told.square().sum(dim=1) / (left + NUGGET * ALONE)
        gain[taken] = -1.0
        taken.append(int(gain.argmax()))
    others = torch.ones(len(pool), dtype=torch.bool)
    others[taken] = False
    return torch.cat([pool[taken], pool[others]])[: count + 1]


def _pool(units: int, count: int, seed: int) -> Bool[Tensor, "p u"]:
    """The whole text, and at least `count` subsets of which some are chosen, in an order that is drawn."""
    generator = torch.Generator().manual_seed(seed)
    if 2 ** (units - 1) <= max(POOL, 4 * count):
        pairs = torch.tensor([[True, *rest] for rest in product([True, False], repeat=units - 1)])
    else:
        alone = ~torch.eye(units, dtype=torch.bool)
        sizes = torch.randint(1, units, (POOL, 1), generator=generator)
        drawn = torch.rand(POOL, units, generator=generator).argsort(dim=1) < sizes
        pairs = _apart(torch.cat([torch.ones(1, units, dtype=torch.bool), alone, drawn]))
        while len(pairs) <= count:
            more = torch.rand(count, units, generator=generator) < 0.5
            pairs = _apart(torch.cat([pairs, more]))
    return torch.cat([pairs[:1], pairs[1:][torch.randperm(len(pairs) - 1, generator=generator)]])


def _apart(rows: Bool[Tensor, "n u"]) -> Bool[Tensor, "p u"]:
    """One of each pair, once."""
    rows = torch.where(rows[:, :1], rows, ~rows)
    return torch.tensor(list(dict.fromkeys(map(tuple, rows.tolist()))))


def _differences(one: Bool[Tensor, "p u"], other: Bool[Tensor, "q u"]) -> Int[Tensor, "p q"]:
    """In how many units subsets differ."""
    a, b = one.double(), other.double()
    return (a.sum(dim=1)[:, None] + b.sum(dim=1) - 2 * a @ b.T).round().long()


def _agreement(units: int, order: int, differ: int) -> float:
    """The mean over all sets of so many units of 1 where two subsets that differ in `differ` units agree on the parity
    of the set, and -1 elsewhere (a normalised Krawtchouk polynomial)."""
    if order > units:
        return 0.0
    signed: int = sum((-1) ** j * comb(differ, j) * comb(units - differ, order - j) for j in range(order + 1))
    return signed / comb(units, order)
