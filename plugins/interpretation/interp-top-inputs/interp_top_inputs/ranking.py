"""The strongest rows of each concept, and how strongly words speak for it, from codes that come batch by batch."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp_top_inputs.words import Occurrences

MARGIN = 2.0  # standard errors that the mean of a word must be above that of all rows


class Strongest(NamedTuple):
    """Candidates of each concept: their codes, rows and keys; those that `strongest` gave come in order, then zeros."""

    values: Float[Tensor, "m c"]
    rows: Int[Tensor, "m c"]
    keys: Int[Tensor, "m c"]


def strongest(of: Strongest, top: int) -> Strongest:
    """The largest codes of each concept, no two of one key; where fewer are above zero the rest is zero."""
    left = of.values.clamp(min=0)
    found = []
    for _ in range(min(top, len(left))):
        value, at = left.max(dim=0)
        row, key = of.rows.gather(0, at[None]), of.keys.gather(0, at[None])
        found.append((value, row[0], key[0]))
        left = left.masked_fill(of.keys == key, 0)
    return Strongest(*(torch.stack(column) for column in zip(*found, strict=True)))


def with_rows(
    known: Strongest | None, codes: Float[Tensor, "b c"], first: int, keys: Int[Tensor, " b"], top: int
) -> Strongest:
    """The strongest after a further batch of rows, of which `first` is the number of the first."""
    shape = codes.shape
    rows = torch.arange(first, first + len(codes))[:, None].expand(shape)
    new = strongest(Strongest(codes, rows, keys[:, None].expand(shape)), top)
    if known is None:
        return new
    return strongest(Strongest(*(torch.cat(pair) for pair in zip(known, new, strict=True))), top)


class Tally:
    """Sums of the codes of the rows that hold each word, and of all rows, in float64."""

    def __init__(self, found: Occurrences, concepts: int) -> None:
        self.found, self.rows = found, 0
        self.count = torch.bincount(found.word, minlength=len(found.words)).double()[:, None]
        self.sum, self.squares = torch.zeros(2, len(found.words), concepts, dtype=torch.float64)
        self.total, self.total_squares = torch.zeros(2, concepts, dtype=torch.float64)

    def add(self, codes: Float[Tensor, "b c"], first: int) -> None:
        """Count a further batch of rows."""
        codes = codes.double()
        start, stop = torch.searchsorted(self.found.row, torch.tensor([first, first + len(codes)])).tolist()
        held, word = codes[self.found.row[start:stop] - first], self.found.word[start:stop]
        self.sum.index_add_(0, word, held)
        self.squares.index_add_(0, word, held**2)
        self.total += codes.sum(0)
        self.total_squares += (codes**2).sum(0)
        self.rows += len(codes)

    def contrast(self) -> Float[Tensor, "w c"]:
        """How much more active a concept is in rows with the word than without it, in standard errors.

        The variance is that of all rows: a word seen once or twice has none of its own to be judged by. A word that is
        in every row makes no difference: 0.
        """
        without = self.rows - self.count
        gap = self.sum / self.count - (self.total - self.sum) / without.clamp(min=1)
        error = (self._variance() * (1 / self.count + 1 / without.clamp(min=1))).sqrt()
        return torch.where((without > 0) & (error > 0), gap / error.clamp(min=1e-300), 0.0)

    def lift(self) -> Float[Tensor, "w c"]:
        """By how much the mean over the rows of a word is above that of all rows, less a margin of two standard errors.

        The variance of the word's rows is taken together with one row of the variance of all, so that a word seen once
        is not trusted fully.
        """
        mean = self.sum / self.count
        variance = ((self.squares / self.count - mean**2).clamp(min=0) * self.count + self._variance()) / (
            self.count + 1
        )
        lift: Tensor = mean - self.total / self.rows - MARGIN * (variance / self.count).sqrt()
        return lift

    def _variance(self) -> Float[Tensor, " c"]:
        variance: Tensor = self.total_squares / self.rows - (self.total / self.rows) ** 2
        return variance.clamp(min=0)


def chance_level(words: int) -> float:
    """The contrast that the best of so many unrelated words stays below in 95 of 100 cases."""
    return NormalDist().inv_cdf(1 - 0.05 / max(1, words))
