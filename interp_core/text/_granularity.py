"""Divides texts into the units that a person reads, and pools the rows of tokens into rows of units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, get_args

import regex
import torch
from interp_core.errors import InputError, unknown
from interp_core.text._encoded import NO_UNIT, DividedText, Encoded, Unit
from jaxtyping import Float, Int
from sentencex import get_sentence_boundaries
from torch import Tensor

Name = Literal["token", "word", "clause", "sentence", "turn", "sample", "cls", "last"]
Spans = Sequence[tuple[int, int]]  # characters [start, stop)
Granularity = Name | str | Callable[[str], Spans]  # a name, or a function from a text to spans

_ENDS_CLAUSE = tuple(",;:()\u2013\u2014")  # at the end of a piece between white space
_DASHES = "-\u2013\u2014"  # such a piece of its own


def divide(encoded: Encoded, granularity: Granularity) -> DividedText:
    """Divide a text into units.

    Args:
        encoded: the tokenised text.
        granularity: `"token"`; `"word"` (Unicode word boundaries, UAX 29; a punctuation mark is a unit of its own);
            `"clause"` (a sentence cut at commas, semicolons, colons, dashes and brackets); `"sentence"`; `"turn"` (each
            message of a chat); `"sample"` (the whole text); `"cls"` (the whole text, read at the position that the
            classifier reads); `"last"` (the whole text, read at its last token, from which a generator goes on); or a
            function from the text to character spans [start, stop).

    Returns:
        The text with its units. Units do not cross the borders of a pair or chat, but for `"cls"` and `"last"`, which
        are one unit each.

    Raises:
        InputError: the granularity is unknown, spans do not fit the text, or the text is not a chat and `"turn"` was
            given.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide
        >>> encoded = tiny_classifier().encoder("so sad, but not today.")
        >>> [unit.text for unit in divide(encoded, "clause").units]
        ['so sad,', 'but not today.']
        >>> [unit.text for unit in divide(encoded, lambda text: [(0, 6), (12, len(text))]).units]
        ['so sad', 'not today.']
    """
    if callable(granularity):
        return encoded.with_units(_given(granularity(encoded.text)))
    if granularity == "token":
        return _tokens(encoded)
    if granularity == "turn":
        if not encoded.turns:
            raise InputError("granularity 'turn' is for chats: give the prompt as a list of messages.")
        return encoded.with_units(_with_answer(encoded))
    if not isinstance(granularity, str) or granularity not in _SPANS:
        also = "a function from the text to character spans"
        raise InputError(unknown("granularity", granularity, get_args(Name), also))
    divided = encoded.with_units(_SPANS[granularity](encoded.text))
    return _as_one(divided) if granularity in ("cls", "last") else divided


def word_spans(text: str) -> list[tuple[int, int]]:
    """The words and punctuation marks of a text, without the white space between them (Unicode, UAX 29).

    Args:
        text: any text.

    Returns:
        Their characters [start, stop), in order.

    Examples:
        >>> from interp_core.text import word_spans
        >>> text = "I don't like it!"
        >>> [text[start:stop] for start, stop in word_spans(text)]
        ['I', "don't", 'like', 'it', '!']
    """
    bounds = sorted({0, len(text), *(m.start() for m in regex.finditer(r"(?w)\b", text))})
    return _trimmed(text, list(pairwise(bounds)))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text, by the rules of `sentencex` for English, which allow for abbreviations and quotations.

    Args:
        text: any text.

    Returns:
        Their characters [start, stop), in order, without white space at their ends.

    Examples:
        >>> from interp_core.text import sentence_spans
        >>> text = "Dr. Smith left. He was sad."
        >>> [text[start:stop] for start, stop in sentence_spans(text)]
        ['Dr. Smith left.', 'He was sad.']
    """
    return _trimmed(text, [(b["start_index"], b["end_index"]) for b in get_sentence_boundaries("en", text)])


def clause_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text, cut after each comma, semicolon, colon, bracket or dash that white space follows.

    Args:
        text: any text.

    Returns:
        Their characters [start, stop), in order, without white space at their ends.

    Examples:
        >>> from interp_core.text import clause_spans
        >>> text = "I paid 1,000, and left; it rained."
        >>> [text[start:stop] for start, stop in clause_spans(text)]
        ['I paid 1,000,', 'and left;', 'it rained.']
    """
    spans = []
    for start, stop in sentence_spans(text):
        bounds = [start]
        pieces = [piece.span() for piece in regex.finditer(r"\S+", text, pos=start, endpos=stop)]
        for (begin, end), (after, _) in pairwise(pieces):
            piece = text[begin:end]
            if piece.endswith(_ENDS_CLAUSE) or (not piece.strip(_DASHES) and begin != bounds[-1]):
                bounds.append(after)
        spans += list(pairwise([*bounds, stop]))
    return _trimmed(text, spans)


def _trimmed(text: str, spans: Spans) -> list[tuple[int, int]]:
    """The spans without white space at their ends; those that hold nothing else are left out."""
    out = []
    for start, stop in spans:
        piece = text[start:stop]
        inner = piece.strip()
        if inner:
            first = start + len(piece) - len(piece.lstrip())
            out.append((first, first + len(inner)))
    return out


def _tokens(encoded: Encoded) -> DividedText:
    """One unit per token. Tokens that share characters (the bytes of one letter) are one unit."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(encoded.offsets[~encoded.special].tolist()):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        elif stop > start:
            spans.append((start, stop))
    return encoded.with_units(spans)


def _as_one(divided: DividedText) -> DividedText:
    """One unit for the whole text, also of a pair or chat: a row is read at a single token."""
    if not divided.units:
        return divided
    start, stop = divided.units[0].start, divided.units[-1].stop
    whole = Unit(divided.text[start:stop], start, stop)
    return replace(divided, units=(whole,), unit_of=divided.unit_of.clamp(max=0))


def _given(spans: Any) -> list[tuple[int, int]]:
    """The spans that a function gives.

    Raises:
        InputError: they are not pairs of whole numbers.
    """
    try:
        return [(int(start), int(stop)) for start, stop in spans]
    except (TypeError, ValueError):
        said = repr(spans)[:60]
        raise InputError(f"the granularity gives {said}; pairs of characters (start, stop) were expected.") from None


def _with_answer(encoded: Encoded) -> list[tuple[int, int]]:
    answer = encoded.continuation
    return [*encoded.turns, *([(answer, len(encoded.text))] if answer >= 0 else [])]


_SPANS: dict[str, Callable[[str], list[tuple[int, int]]]] = {
    "word": word_spans,
    "clause": clause_spans,
    "sentence": sentence_spans,
    "sample": lambda text: _trimmed(text, [(0, len(text))]),
    "cls": lambda text: _trimmed(text, [(0, len(text))]),
    "last": lambda text: _trimmed(text, [(0, len(text))]),
}


def pool(values: Float[Tensor, "t d"], unit_of: Int[Tensor, " t"], units: int) -> Float[Tensor, "u d"]:
    """The mean of the rows of each unit.

    Args:
        values: one row per token.
        unit_of: the index of the unit of each row; rows of `NO_UNIT` are ignored.
        units: the number of units.

    Returns:
        One row per unit; 0 for a unit without rows.

    Examples:
        >>> from interp_core.text import pool
        >>> values = torch.tensor([[9.0, 9.0], [1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
        >>> pool(values, torch.tensor([-1, 0, 0, 1]), units=2)
        tensor([[2., 1.],
                [5., 5.]])
    """
    row_of = torch.where(unit_of == NO_UNIT, units, unit_of)  # one more row, for the tokens in no unit
    total = values.new_zeros(units + 1, values.shape[1]).index_add_(0, row_of, values)[:units]
    count = torch.bincount(row_of, minlength=units)[:units].clamp(min=1)
    return total / count[:, None].to(values.dtype)
