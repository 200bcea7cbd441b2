"""From characters to the units a person reads, and from token rows to unit rows and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, get_args

import regex
import torch
from interp_core.errors import InputError
from interp_core.text._encoded import NO_UNIT, DividedText, Encoded
from jaxtyping import Float, Int
from sentencex import get_sentence_boundaries
from torch import Tensor

Name = Literal["token", "word", "clause", "sentence", "turn", "sample", "cls"]
Spans = Sequence[tuple[int, int]]
Granularity = Name | str | Callable[[str], Spans]

_CLAUSE_END = regex.compile(r"[,;:()\u2013\u2014]+\s+|\s+[-\u2013\u2014]+\s+")


def divide(encoded: Encoded, granularity: Granularity) -> DividedText:
    """The text in units of the given granularity.

    Args:
        encoded: the tokenised text.
        granularity: `"token"`; `"word"` (Unicode word boundaries, UAX 29; a punctuation mark is a unit of its own);
            `"clause"` (a sentence cut at commas, semicolons, colons, dashes and brackets); `"sentence"`; `"turn"` (each
            message of a chat); `"sample"` (the whole text); `"cls"` (the whole text, read at the position the
            classifier reads); or a function from the text to character spans [start, stop).

    Raises:
        InputError: an unknown name, or spans that do not fit the text.
    """
    if callable(granularity):
        return encoded.with_units([(int(start), int(stop)) for start, stop in granularity(encoded.text)])
    if granularity == "token":
        return _tokens(encoded)
    if granularity == "turn":
        if not encoded.turns:
            raise InputError("granularity 'turn' is for chats: give the prompt as a list of messages.")
        return encoded.with_units(_with_answer(encoded))
    if granularity not in _SPANS:
        raise InputError(
            f"granularity {granularity!r} is unknown; it is one of {', '.join(get_args(Name))}, "
            "or a function from the text to character spans."
        )
    return encoded.with_units(_SPANS[granularity](encoded.text))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Words and punctuation marks, without the white space between them (UAX 29)."""
    bounds = sorted({0, len(text), *(m.start() for m in regex.finditer(r"(?w)\b", text))})
    return _trimmed(text, list(pairwise(bounds)))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Sentences as `sentencex` finds them by its rules for English, which know abbreviations and quotations."""
    return _trimmed(text, [(b["start_index"], b["end_index"]) for b in get_sentence_boundaries("en", text)])


def clause_spans(text: str) -> list[tuple[int, int]]:
    """Sentences cut after each comma, semicolon, colon, bracket or dash that is followed by white space."""
    spans = []
    for start, stop in sentence_spans(text):
        ends = [m.end() for m in _CLAUSE_END.finditer(text, start, stop)]
        bounds = [start, *(end for end in ends if end < stop), stop]
        spans += list(pairwise(bounds))
    return _trimmed(text, spans)


def _trimmed(text: str, spans: Spans) -> list[tuple[int, int]]:
    """The spans without white space at their ends; those of nothing else are left out."""
    out = []
    for start, stop in spans:
        piece = text[start:stop]
        inner = piece.strip()
        if inner:
            first = start + piece.index(inner[0])
            out.append((first, first + len(inner)))
    return out


def _tokens(encoded: Encoded) -> DividedText:
    """A unit for each token. Tokens that share characters (bytes of one letter) are one unit."""
    spans: list[tuple[int, int]] = []
    for (start, stop), special in zip(encoded.offsets.tolist(), encoded.special.tolist(), strict=True):
        if not special and stop > start and (not spans or start >= spans[-1][1]):
            spans.append((start, stop))
    return encoded.with_units(spans)


def _with_answer(encoded: Encoded) -> list[tuple[int, int]]:
    answer = encoded.continuation
    return [*encoded.turns, *([(answer, len(encoded.text))] if answer >= 0 else [])]


_SPANS: dict[str, Callable[[str], list[tuple[int, int]]]] = {
    "word": word_spans,
    "clause": clause_spans,
    "sentence": sentence_spans,
    "sample": lambda text: _trimmed(text, [(0, len(text))]),
    "cls": lambda text: _trimmed(text, [(0, len(text))]),
}


def pool(values: Float[Tensor, "t d"], unit_of: Int[Tensor, " t"], units: int) -> Float[Tensor, "u d"]:
    """The mean of the rows of each unit; a row of no unit counts for nothing."""
    inside = unit_of != NO_UNIT
    total = values.new_zeros(units, values.shape[1]).index_add_(0, unit_of[inside], values[inside])
    count = torch.bincount(unit_of[inside], minlength=units).clamp(min=1)
    return total / count[:, None].to(values.dtype)
