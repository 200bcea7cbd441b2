"""One tokenised text with the characters each token covers, and the units a person reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from interp_core.errors import InputError
from jaxtyping import Bool, Int
from torch import Tensor

NO_UNIT = -1


@dataclass(frozen=True)
class Unit:
    """A piece of a text that a person reads as one: characters [start, stop)."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model receives it.

    Attributes:
        text: the characters.
        ids: the token ids, special tokens included.
        offsets: for each token the characters [start, stop) it covers; (0, 0) for a special token.
        special: True where the token was added by the tokenizer.
        prompt: how many of the tokens are given; those after it are a continuation to be explained.
        cut: how many tokens were left off because the model takes no more.
        source: how many of the tokens an encoder reads, where a decoder reads the others; 0 for one stack.
        types: for a pair of texts which of the two each token is from, as the model was trained to be told.
        borders: characters at which units end: between the texts of a pair, around messages.
        turns: the messages of a chat as characters [start, stop); what the template adds is in no unit.
    """

    text: str
    ids: Int[Tensor, " t"]
    offsets: Int[Tensor, "t 2"]
    special: Bool[Tensor, " t"]
    prompt: int = -1
    cut: int = 0
    source: int = 0
    types: Int[Tensor, " t"] | None = None
    borders: tuple[int, ...] = ()
    turns: tuple[tuple[int, int], ...] = ()

    @property
    def continuation(self) -> int:
        """The character where the continuation to be explained begins; -1 if there is none."""
        own = (~self.special[max(0, self.prompt) :]).nonzero()
        return int(self.offsets[self.prompt + int(own[0])][0]) if self.prompt >= 0 and len(own) else -1

    @property
    def edges(self) -> list[int]:
        """The characters at which no unit goes on: borders, and where a continuation begins."""
        return sorted({*self.borders, self.continuation} - {-1})

    def __len__(self) -> int:
        return len(self.ids)

    def with_units(self, spans: Sequence[tuple[int, int]]) -> DividedText:
        """The text divided into units: each token goes to the span it shares the most characters with.

        Raises:
            InputError: spans that are empty, out of order, overlapping, or outside the text.
        """
        spans = self._apart(spans)
        previous = 0
        for start, stop in spans:
            if not previous <= start < stop <= len(self.text):
                raise InputError(
                    f"span ({start}, {stop}) is empty, overlaps the one before, or leaves the text of "
                    f"{len(self.text)} characters. Give spans as [start, stop) in order."
                )
            previous = stop
        starts = [start for start, _ in spans]
        owners = [
            NO_UNIT if special else _owner(start, stop, spans, starts, self)
            for (start, stop), special in zip(self.offsets.tolist(), self.special.tolist(), strict=True)
        ]
        kept = sorted(set(owners) - {NO_UNIT})  # a unit whose tokens were cut off is not in the input
        number = {old: new for new, old in enumerate(kept)}
        units = tuple(Unit(self.text[slice(*spans[i])], *spans[i]) for i in kept)
        unit_of = torch.tensor([number.get(owner, NO_UNIT) for owner in owners], dtype=torch.long)
        fields = {name: getattr(self, name) for name in Encoded.__dataclass_fields__}
        return DividedText(**fields, units=units, unit_of=unit_of)

    def _apart(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The spans, cut at the borders and where a prompt ends and its continuation begins."""
        borders = self.edges
        parts = []
        for start, stop in spans:
            cuts = [start, *(b for b in borders if start < b < stop), stop]
            parts += list(pairwise(cuts))
        return parts


@dataclass(frozen=True, eq=False, kw_only=True)
class DividedText(Encoded):
    """One text as the model receives it, divided into the units that a person reads.

    Attributes:
        units: the pieces a person reads, in order.
        unit_of: the unit of each token; -1 for a token in no unit.
    """

    units: tuple[Unit, ...]
    unit_of: Int[Tensor, " t"]


def _owner(start: int, stop: int, spans: Sequence[tuple[int, int]], starts: Sequence[int], encoded: Encoded) -> int:
    """The span that shares most characters with the token; white space belongs to the span it follows, or leads to, on
    its side of a border.
    """
    text, before = encoded.text, bisect_right(starts, start) - 1
    if stop > start and not text[start:stop].strip():
        edges, after = encoded.edges, before + 1
        if before >= 0 and _joined(text, spans[before][1], start, edges):
            return before
        return after if after < len(spans) and _joined(text, stop, spans[after][0], edges) else NO_UNIT
    best, most = NO_UNIT, 0
    for i in range(max(before, 0), len(spans)):
        if spans[i][0] >= stop:
            break
        shared = min(stop, spans[i][1]) - max(start, spans[i][0])
        best, most = (i, shared) if shared > most else (best, most)
    return best


def _joined(text: str, start: int, stop: int, edges: Sequence[int]) -> bool:
    """Whether nothing but white space, and no border, lies between two characters."""
    return not text[start:stop].strip() and not any(start <= edge <= stop for edge in edges)
