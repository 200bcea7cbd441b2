"""Division of texts into the units that a person reads, and pooling of the rows of tokens to rows of units."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

import regex
import torch
from interp_core.errors import InputError, unknown
from interp_core.text._encoded import NO_UNIT, DividedText, Encoded, Unit
from interp_core.text._region import Region, Spans, clipped, pairs, region_of
from jaxtyping import Float, Int
from sentencex import get_sentence_boundaries
from torch import Tensor

Name = Literal["token", "word", "clause", "sentence", "paragraph", "message", "document", "sample", "cls", "last"]
Granularity = Name | str | Spans | Callable[[str], Spans]  # a name, spans, or a function from a text to spans

_ENDS_CLAUSE = tuple(",;:()\u2013\u2014")  # at the end of a piece between white space
_DASHES = "-\u2013\u2014"  # such a piece of its own
_GOES_ON = regex.compile(  # what follows belongs to the abbreviation: a number, a name, or more of it
    r"\b(?:[Ff]igs|[Ee]qs?|[Ss]ects?|[Vv]ols?|[Cc]hs?|[Cc]haps?|[Pp]ars?|[Tt]abs?|[Rr]efs|[Tt]hms?|[Aa]pprox)\.\s+(?=[\d(\[])"
    r"|\b(?:Sra|Srta|Dra|Av)\.\s+(?=\p{Lu})|\b\p{Lu}{1,2}\.(?=\p{Lu}{1,2}\.)"
)
_ENDS = regex.compile(  # an abbreviation, or a word that is spelt like one, which stands before no name
    r"\b(?:[Ee]tc|Inc|Ltd|Corp|no|art|min|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.\s+(?=\p{Lu}\p{Ll})"
)


def divide(encoded: Encoded, granularity: Granularity, units: Region = None) -> DividedText:
    """Divide a text, or a part of it, into units.

    Args:
        encoded: the tokenised text.
        granularity: `"token"`; `"word"` (Unicode word boundaries, UAX 29; a punctuation mark is a unit of its own);
            `"clause"` (a sentence cut at commas, semicolons, colons, dashes and brackets); `"sentence"`; `"paragraph"`
            (up to a blank line); `"message"` (each message of a chat, and its continuation); `"document"` (each
            document of a chat); `"sample"` (the whole text); `"cls"` (the whole text, read at the position that the
            classifier reads); `"last"` (the whole text, read at its last token, from which a generator continues);
            character spans [start, stop); or a function from the text to such spans.
        units: the part of the text that is divided: None (all of it), `"documents"`, `"messages"`, `"prompt"`, a role
            of a chat, spans, or a function, see `region_of`. Units are cut at the edges of this part; the rest of the
            text is in no unit, except for the remainder of a token that an edge divides.

    Returns:
        The text with its units. Units do not cross the borders of a pair or chat, except for `"cls"` and `"last"`,
        which have a single unit.

    Raises:
        InputError: the granularity is unknown, spans do not fit the text, or messages or documents are asked for and
            the text has none.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide
        >>> encoded = tiny_classifier().encoder("so sad, but not today.")
        >>> [unit.text for unit in divide(encoded, "clause").units]
        ['so sad,', 'but not today.']
        >>> [unit.text for unit in divide(encoded, lambda text: [(0, 6), (12, len(text))]).units]
        ['so sad', 'not today.']
        >>> [unit.text for unit in divide(encoded, "word", units=[(0, 6)]).units]
        ['so', 'sad']
    """
    region = None if units is None else region_of(encoded, units)
    if not isinstance(granularity, str):
        spans = granularity(encoded.text) if callable(granularity) else granularity
        return encoded.with_units(clipped(pairs(spans, "granularity"), region))
    if granularity in _PLACES:
        places = _PLACES[granularity](encoded)
        return encoded.with_units(places if region is None else clipped(places, region))
    if granularity not in _SPANS:
        also = "character spans, or a function from the text to these"
        raise InputError(unknown("granularity", granularity, get_args(Name), also))
    divided = encoded.with_units(_within(encoded, _SPANS[granularity], region))
    return _as_one(divided) if granularity in ("cls", "last") else divided


def _within(encoded: Encoded, spans_of: Callable[[str], Spans], region: Spans | None) -> list[tuple[int, int]]:
    """The spans of each part of a text, in itself: what stands in another message or document has no bearing on it."""
    edges = {*encoded.edges, *(edge for document in encoded.documents for edge in document), 0, len(encoded.text)}
    parts = list(pairwise(sorted(edges)))
    for part in (encoded.said or None, region):
        parts = parts if part is None else clipped(parts, part)
    return [(first + a, first + b) for first, last in parts for a, b in spans_of(encoded.text[first:last])]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Find the words and punctuation marks of a text, without the white space between them (Unicode, UAX 29).

    Args:
        text: any text.

    Returns:
        The characters [start, stop) of each, in order.

    Examples:
        >>> from interp_core.text import word_spans
        >>> text = "I don't like it!"
        >>> [text[start:stop] for start, stop in word_spans(text)]
        ['I', "don't", 'like', 'it', '!']
    """
    bounds = sorted({0, len(text), *(m.start() for m in regex.finditer(r"(?w)\b", text))})
    return _trimmed(text, list(pairwise(bounds)))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text, by the rules of `sentencex` for English, which handle abbreviations and quotations.

    In addition, a sentence does not end at an abbreviation before a number, such as "eq. 3", and ends at one such as
    "etc." where a capitalised word follows.

    Args:
        text: any text.

    Returns:
        The characters [start, stop) of each, in order, without white space at the ends.

    Examples:
        >>> from interp_core.text import sentence_spans
        >>> text = "Dr. Smith left. He was sad."
        >>> [text[start:stop] for start, stop in sentence_spans(text)]
        ['Dr. Smith left.', 'He was sad.']
    """
    pieces = _trimmed(text, [(b["start_index"], b["end_index"]) for b in get_sentence_boundaries("en", text)])
    begins = {start for start, _ in pieces} | {match.end() for match in _ENDS.finditer(text)}
    begins -= {match.end() for match in _GOES_ON.finditer(text)}
    return _trimmed(text, list(pairwise([*sorted(begins), len(text)])))


def paragraph_spans(text: str) -> list[tuple[int, int]]:
    """Find the paragraphs of a text, between blank lines.

    Args:
        text: any text.

    Returns:
        The characters [start, stop) of each, in order, without white space at the ends.

    Examples:
        >>> from interp_core.text import paragraph_spans
        >>> paragraph_spans("One\\nline.\\n\\nTwo.")
        [(0, 9), (11, 15)]
    """
    breaks = [match.span() for match in regex.finditer(r"\n[^\S\n]*(?:\n[^\S\n]*)+", text)]
    return _trimmed(
        text, list(zip([0, *(stop for _, stop in breaks)], [*(a for a, _ in breaks), len(text)], strict=True))
    )


def clause_spans(text: str) -> list[tuple[int, int]]:
    """Find the clauses of a text: sentences, cut after each comma, semicolon, colon, bracket or dash before a space.

    Args:
        text: any text.

    Returns:
        The characters [start, stop) of each, in order, without white space at the ends.

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


def _tokens(encoded: Encoded) -> list[tuple[int, int]]:
    """One unit per token. Tokens that share characters (the bytes of one letter) are one unit."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(encoded.offsets[~encoded.special].tolist()):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        elif stop > start:
            spans.append((start, stop))
    return spans


def _as_one(divided: DividedText) -> DividedText:
    """One unit for the whole text, also of a pair or chat: a row is read at a single token."""
    if not divided.units:
        return divided
    start, stop = divided.units[0].start, divided.units[-1].stop
    whole = Unit(divided.text[start:stop], start, stop)
    return replace(divided, units=(whole,), unit_of=divided.unit_of.clamp(max=0))


def _messages(encoded: Encoded) -> Spans:
    if not encoded.turns:
        raise InputError("granularity 'message' is for chats: give the prompt as a list of messages.")
    answer = encoded.continuation
    return [*encoded.turns, *([(answer, len(encoded.text))] if answer >= 0 else [])]


def _turns(encoded: Encoded) -> Spans:
    told = "granularity 'turn' is called 'message'; 'turn' goes with 0.3."
    warnings.warn(told, DeprecationWarning, stacklevel=3)
    return _messages(encoded)


def _documents(encoded: Encoded) -> Spans:
    if not encoded.documents:
        raise InputError("granularity 'document': this text has none; give interp.Chat(messages, documents=[…]).")
    return sorted(encoded.documents)


_PLACES: dict[str, Callable[[Encoded], Spans]] = {
    "token": _tokens,
    "message": _messages,
    "turn": _turns,
    "document": _documents,
}
_SPANS: dict[str, Callable[[str], list[tuple[int, int]]]] = {
    "word": word_spans,
    "clause": clause_spans,
    "sentence": sentence_spans,
    "paragraph": paragraph_spans,
    "sample": lambda text: _trimmed(text, [(0, len(text))]),
    "cls": lambda text: _trimmed(text, [(0, len(text))]),
    "last": lambda text: _trimmed(text, [(0, len(text))]),
}


def pool(values: Float[Tensor, "t d"], unit_of: Int[Tensor, " t"], units: int) -> Float[Tensor, "u d"]:
    """Average the rows of each unit.

    Args:
        values: (t, d) one row for each token.
        unit_of: (t) the index of the unit of each row; rows of `NO_UNIT` are ignored.
        units: the number u of units.

    Returns:
        (u, d) one row for each unit; 0 for a unit without rows.

    Examples:
        >>> from interp_core.text import pool
        >>> values = torch.tensor([[9.0, 9.0], [1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
        >>> pool(values, torch.tensor([-1, 0, 0, 1]), units=2)
        tensor([[2., 1.],
                [5., 5.]])
    """
    row_of = torch.where(unit_of == NO_UNIT, units, unit_of)  # one more row, for the tokens in no unit
    total = values.new_zeros(units + 1, values.shape[1]).index_add_(0, row_of, values)[:units]
    ones = torch.ones(len(row_of), device=values.device)  # counted thus, a device need not be waited for
    count = ones.new_zeros(units + 1).index_add_(0, row_of, ones)[:units].clamp(min=1)
    return total / count[:, None].to(values.dtype)
