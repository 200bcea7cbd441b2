"""How strongly words speak for a concept, from codes that come batch by batch."""

from __future__ import annotations

from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from interp_top_inputs.words import Occurrences

MARGIN = 2.0  # standard errors that the mean of a word must be above that of all rows


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
