"""How strongly words speak for a concept, from codes that come batch by batch, and what chance gives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp_top_inputs.words import Occurrences

MARGIN = 2.0  # standard errors that the mean of a word must be above that of all rows
ORDERS = 19  # an unrelated concept is above all of so many random ones in one of twenty cases
ROUNDING = 1e-9


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
        return self._contrast(self.sum, self.total, self._variance())

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

    def chance(self, codes: ActiveCodes) -> Float[Tensor, " c"]:
        """The largest contrast of any word, of several random orders of the rows, for each concept.

        A concept that has nothing to do with the words has one above this in at most one of twenty cases, whatever the
        distribution of its codes, since its own order of the rows is then as random as the others; in fewer where many
        orders tie, as when the largest code decides.
        """
        generator, variance, columns = torch.Generator().manual_seed(0), self._variance(), codes.columns()
        held = torch.bincount(self.found.row, minlength=self.rows)  # words of each row
        first = held.cumsum(0) - held
        level = torch.zeros(len(self.total), dtype=torch.float64)
        for _ in range(ORDERS):
            order = torch.randperm(self.rows, generator=generator)
            order = torch.cat([order, order])  # each concept begins elsewhere in it
            lengths = held[order]
            ends = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
            within = torch.arange(int(ends[-1])) - ends[:-1].repeat_interleave(lengths)
            words = self.found.word[first[order].repeat_interleave(lengths) + within]
            begins = torch.randint(self.rows, (len(columns),), generator=generator).tolist()
            for concept, (begin, values) in enumerate(zip(begins, columns, strict=True)):
                stop = begin + len(values)
                held_values = values.double().repeat_interleave(lengths[begin:stop])
                sums = torch.bincount(words[ends[begin] : ends[stop]], held_values, minlength=len(self.count)).double()
                most = self._contrast(sums[:, None], self.total[concept], variance[concept]).max()
                level[concept] = torch.maximum(level[concept], most)
        return level * (1 + ROUNDING)

    def _contrast(self, sums: Float[Tensor, "w c"], total: Tensor, variance: Tensor) -> Float[Tensor, "w c"]:
        without = self.rows - self.count
        gap = sums / self.count - (total - sums) / without.clamp(min=1)
        error = (variance * (1 / self.count + 1 / without.clamp(min=1))).sqrt()
        return torch.where((without > 0) & (error > 0), gap / error.clamp(min=1e-300), 0.0)

    def _variance(self) -> Float[Tensor, " c"]:
        variance: Tensor = self.total_squares / self.rows - (self.total / self.rows) ** 2
        return variance.clamp(min=0)


class ActiveCodes:
    """The codes of each concept other than zero, without their rows: all that random orders of the rows need."""

    def __init__(self) -> None:
        self._batches: list[tuple[Float[Tensor, " v"], list[int]]] = []

    def add(self, codes: Float[Tensor, "b c"]) -> None:
        """Keep those of a further batch of rows."""
        columns = codes.T
        active = columns != 0
        self._batches.append((columns[active], active.sum(1).tolist()))

    def columns(self) -> list[Float[Tensor, " a"]]:
        """Those of each concept."""
        batches = [values.split(sizes) for values, sizes in self._batches]
        return [torch.cat(column) for column in zip(*batches, strict=True)]
