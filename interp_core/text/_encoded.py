"""A tokenised text, with the characters each token covers and the units a person reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from interp_core.errors import InputError
from jaxtyping import Bool, Int
from torch import Tensor

NO_UNIT = -1  # in place of the index of a unit, for a token or row that is in none


@dataclass(frozen=True)
class Unit:
    """A piece of a text that a person reads as one, such as a word.

    Attributes:
        text: its characters.
        start: the index in the text of its first character.
        stop: the index after its last character.

    Examples:
        >>> text = "i feel happy"
        >>> unit = interp.Unit("happy", start=7, stop=12)
        >>> text[unit.start : unit.stop] == unit.text
        True
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model receives it.

    Attributes:
        text: the characters.
        ids: the token ids (t), special tokens included.
        offsets: the characters [start, stop) that each token covers (t, 2); (0, 0) for a special token.
        special: True for tokens that cannot be removed (t): those that the tokenizer or the chat template adds, and
            mask tokens.
        prompt: the number of tokens before the continuation that is to be explained; all tokens if there is none, -1
            if that is not known.
        cut: the number of tokens that were cut off because the model takes no more.
        source: for an encoder-decoder model, the number of tokens that the encoder reads, the decoder reads the rest;
            otherwise 0.
        types: the token types (t) of a pair of texts, if the tokenizer gives them.
        borders: indices of characters that no unit crosses: between the texts of a pair, around the messages of a chat.
        turns: the messages of a chat as characters [start, stop). What the template adds is in no unit.

    Examples:
        The classification token and the separator cover no characters.

        >>> from interp_core.testing import tiny_classifier
        >>> encoded = tiny_classifier().encoder("so sad")
        >>> encoded.ids.tolist()
        [2, 7, 10, 3]
        >>> encoded.offsets.tolist()
        [[0, 0], [0, 2], [3, 6], [0, 0]]
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
        """The index of the character at which the continuation begins; -1 if there is none."""
        own = (~self.special[max(0, self.prompt) :]).nonzero()
        return int(self.offsets[self.prompt + int(own[0])][0]) if self.prompt >= 0 and len(own) else -1

    @property
    def last(self) -> int:
        """The position of the last token of the prompt, where a model goes on: what would close the text comes later.

        In a chat it is the last token that the template writes, in an encoder-decoder model the last of the source.
        """
        count = self.prompt if 0 < self.prompt <= len(self) else len(self)
        count = min(count, self.source or count)
        while count > 1 and bool(self.special[count - 1]) and not self.turns:
            count -= 1
        return count - 1

    @property
    def edges(self) -> list[int]:
        """The indices of characters that no unit crosses: borders, and the start of a continuation."""
        return sorted({*self.borders, self.continuation} - {-1})

    def __len__(self) -> int:
        return len(self.ids)

    def with_units(self, spans: Sequence[tuple[int, int]]) -> DividedText:
        """The text divided into units. Each token belongs to the span with which it shares the most characters.

        Args:
            spans: characters [start, stop) of each unit, in order. A span is cut at `edges`.

        Returns:
            The divided text. A span without tokens, because the text was cut before it, is not among its units.

        Raises:
            InputError: a span is empty, out of order, overlaps another, or is outside the text.
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
        kept = sorted(set(owners) - {NO_UNIT})  # the tokens of a unit may have been cut off
        number = {old: new for new, old in enumerate(kept)}
        units = tuple(Unit(self.text[slice(*spans[i])], *spans[i]) for i in kept)
        unit_of = torch.tensor([number.get(owner, NO_UNIT) for owner in owners], dtype=torch.long)
        fields = {name: getattr(self, name) for name in Encoded.__dataclass_fields__}
        return DividedText(**fields, units=units, unit_of=unit_of)

    def _apart(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The spans, cut at the edges."""
        edges = self.edges
        parts = []
        for start, stop in spans:
            cuts = [start, *(edge for edge in edges if start < edge < stop), stop]
            parts += list(pairwise(cuts))
        return parts


@dataclass(frozen=True, eq=False, kw_only=True)
class DividedText(Encoded):
    """One text as the model receives it, divided into the units that a person reads.

    Attributes:
        units: the units (u), in order.
        unit_of: the index of the unit of each token (t); `NO_UNIT` for a token in none.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide
        >>> divided = divide(tiny_classifier().encoder("so sad today!"), "word")
        >>> [unit.text for unit in divided.units]
        ['so', 'sad', 'today', '!']
        >>> divided.unit_of.tolist()
        [-1, 0, 1, 2, 3, -1]
    """

    units: tuple[Unit, ...]
    unit_of: Int[Tensor, " t"]


def _owner(start: int, stop: int, spans: Sequence[tuple[int, int]], starts: Sequence[int], encoded: Encoded) -> int:
    """The index of the span that shares the most characters with a token.

    White space belongs to the span before it, or else to the one after it, if no edge is between them.
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
    """Whether there is only white space, and no edge, between two characters."""
    return not text[start:stop].strip() and not any(start <= edge <= stop for edge in edges)
