"""Tokenised texts, with the characters that each token covers and the units that a person reads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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
        text: the characters of the unit.
        start: the index of its first character in the text.
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
    """A tokenised text, as the model receives it.

    Attributes:
        text: the characters.
        ids: (t) the token ids, special tokens included.
        offsets: (t, 2) the characters [start, stop) that each token covers; (0, 0) for a special token.
        special: (t) True for tokens that cannot be removed: those that the tokenizer or the chat template adds, and
            mask tokens.
        prompt: the number of tokens before the continuation that is explained; all tokens if there is none, -1 if this
            is not known.
        cut: the number of tokens that were cut off because the model accepts no more.
        source: for an encoder-decoder model, the number of tokens that the encoder reads, the decoder reads the rest;
            otherwise 0.
        types: (t) the token types of a pair of texts, if the tokenizer gives them.
        borders: the indices of characters that no unit crosses: between the texts of a pair, around the messages of a
            chat.
        turns: the messages of a chat as characters [start, stop). What the template adds is in no unit.
        roles: the role of each message.
        documents: the documents of a chat as characters [start, stop), including those in a message, in the order in
            which they occur in the text.

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
    roles: tuple[str, ...] = ()
    documents: tuple[tuple[int, int], ...] = ()

    @property
    def continuation(self) -> int:
        """The index of the character at which the continuation begins; -1 if there is none."""
        if not 0 <= self.prompt < len(self):
            return -1
        own = (~self.special[self.prompt :]).nonzero()
        return int(self.offsets[self.prompt + int(own[0])][0]) if len(own) else -1

    @property
    def last(self) -> int:
        """The position of the last token of the prompt, before tokens that close the text.

        A generator continues from it. In a chat it is the last token that the template writes, in an encoder-decoder
        model the last token of the source.
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

    @property
    def said(self) -> tuple[tuple[int, int], ...]:
        """The characters [start, stop) of the messages, the documents and the continuation of a chat; else empty."""
        apart = [(a, b) for a, b in self.documents if not any(start <= a and b <= stop for start, stop in self.turns)]
        answer = [(self.continuation, len(self.text))] if self.continuation >= 0 else []
        return tuple(sorted([*self.turns, *apart, *answer])) if self.turns else ()

    def __len__(self) -> int:
        return len(self.ids)

    def with_units(self, spans: Sequence[tuple[int, int]]) -> DividedText:
        """Divide the text into units, which are the given spans, merged or extended to whole tokens.

        A token is removed as a whole. So spans that share a token are one unit, and a unit covers every visible
        character of its tokens, even of a token that a span contains only in part. White space and tokens without
        characters belong to the unit of the token before them, or else of the token after them in the same text or
        message. A token that no span touches is in no unit and is never removed.

        Args:
            spans: the characters [start, stop) of each unit, in order. A span is cut at `edges`.

        Returns:
            The divided text. A span without tokens, such as one in the part that was cut off, is not among its units.

        Raises:
            InputError: a span is empty, out of order, overlaps another, or is outside the text.

        Examples:
            One token covers both words of the name, so they are one unit.

            >>> encoded = Encoded(
            ...     "in New York",
            ...     ids=torch.tensor([4, 9]),
            ...     offsets=torch.tensor([[0, 2], [2, 11]]),
            ...     special=torch.tensor([False, False]),
            ... )
            >>> [unit.text for unit in encoded.with_units([(0, 2), (3, 6), (7, 11)]).units]
            ['in', 'New York']
        """
        previous = 0
        for start, stop in spans:
            if not previous <= start < stop <= len(self.text):
                raise InputError(
                    f"span ({start}, {stop}) is empty, overlaps the one before, or leaves the text of "
                    f"{len(self.text)} characters. Give spans as [start, stop) in order."
                )
            previous = stop
        tokens, special = self.offsets.tolist(), self.special.tolist()
        visible = [_visible(self.text, *token) for token in tokens]
        own = [i for i, added in enumerate(special) if not added]
        joined = _joined(self._apart(spans), [place for i in own if (place := visible[i])])
        owners = [NO_UNIT] * len(tokens)
        for i in own:
            owners[i] = _holding(joined, *(visible[i] or tokens[i]))
        blank = [i for i in own if visible[i] is None]
        parts = self._parts() if blank else []
        for i, near in [*((i, i - 1) for i in blank if i), *((i, i + 1) for i in blank[::-1] if i + 1 < len(tokens))]:
            if owners[i] == NO_UNIT and parts[near] == parts[i]:
                owners[i] = owners[near]
        kept = sorted(set(owners) - {NO_UNIT})  # the tokens of a unit may have been cut off
        number = {old: new for new, old in enumerate(kept)}
        units = tuple(Unit(self.text[slice(*joined[i])], *joined[i]) for i in kept)
        unit_of = torch.tensor([number.get(owner, NO_UNIT) for owner in owners], dtype=torch.long)
        fields = {name: value for name, value in vars(self).items() if name in Encoded.__dataclass_fields__}
        return DividedText(**fields, units=units, unit_of=unit_of)

    def _apart(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The spans, cut at the edges, without what a chat template writes."""
        edges = self.edges
        if not edges and not self.turns:
            return list(spans)
        parts = []
        for start, stop in spans:
            cuts = [start, *edges[bisect_right(edges, start) : bisect_left(edges, stop)], stop]
            parts += list(pairwise(cuts))
        said = self.said
        if not said:
            return parts
        begins = [start for start, _ in said]
        return [(a, b) for a, b in parts if (i := bisect_right(begins, a) - 1) >= 0 and b <= said[i][1]]

    def _parts(self) -> list[tuple[bool, int]]:
        """Where each token is: in the prompt or its continuation, and in which text of a pair or message of a chat."""
        begins = [start for start, _ in self.said] if self.turns else list(self.borders[-1:])
        return [
            (0 <= self.prompt <= i, bisect_right(begins, stop)) for i, (_, stop) in enumerate(self.offsets.tolist())
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class DividedText(Encoded):
    """A tokenised text that is divided into the units that a person reads.

    Attributes:
        units: the u units, in order.
        unit_of: (t) the index of the unit of each token; `NO_UNIT` (-1) for a token in none.

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


def _visible(text: str, start: int, stop: int) -> tuple[int, int] | None:
    """The characters [start, stop) without white space at their ends; None if nothing else is there."""
    if start < stop and not text[start].isspace() and not text[stop - 1].isspace():  # as a rule
        return start, stop
    piece = text[start:stop]
    ahead = len(piece) - len(piece.lstrip())
    return (start + ahead, start + len(piece.rstrip())) if ahead < len(piece) else None


def _holding(units: Sequence[tuple[int, int]], start: int, stop: int) -> int:
    """The index of the unit that shares characters with a token, or holds the place of one without characters."""
    i = bisect_left(units, (stop, 0)) - 1
    return i if i >= 0 and start < units[i][1] else NO_UNIT


def _joined(spans: Sequence[tuple[int, int]], tokens: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans and tokens that share characters, directly or through others, as one span each; all that hold a span."""
    joined: list[tuple[int, int]] = []
    held: list[bool] = []
    for start, stop, is_span in sorted([*((*s, True) for s in spans), *((*t, False) for t in tokens)]):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
            held[-1] |= is_span
        else:
            joined.append((start, stop))
            held.append(is_span)
    return [span for span, holds in zip(joined, held, strict=True) if holds]
