"""The part of a text that is explained: its documents, messages or prompt, a role of a chat, or spans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

from interp_core.errors import InputError, nearest
from interp_core.text._encoded import Encoded

Spans = Sequence[tuple[int, int]]  # characters [start, stop)
Region = str | Spans | Callable[[str], Spans] | None  # a name or a role, spans, or a function from a text to spans
NAMES = ("documents", "messages", "prompt")


def region_of(encoded: Encoded, units: Region) -> list[tuple[int, int]] | None:
    """Resolve the part of a text that is explained to character spans.

    Args:
        encoded: the tokenised text.
        units: None (the whole text), `"documents"` (of a chat), `"messages"` (of a chat, without what the template
            adds and without a continuation), `"prompt"` (all before the continuation), a role of a chat such as
            `"user"`, spans of characters [start, stop), or a function from the text to such spans.

    Returns:
        Spans that do not overlap, in order; None for the whole text.

    Raises:
        InputError: there are no documents, messages, or messages of this role; or a span is empty or exceeds the text.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import region_of
        >>> encoded = tiny_classifier().encoder("the cat was so happy today")
        >>> region_of(encoded, [(8, 20), (0, 7)])
        [(0, 7), (8, 20)]
    """
    if units is None:
        return None
    if isinstance(units, str):
        return _named(encoded, units)
    given = pairs(units(encoded.text) if callable(units) else units, "units")
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(given):
        if not 0 <= start < stop <= len(encoded.text):
            raise InputError(
                f"units: span ({start}, {stop}) is empty or leaves the text of {len(encoded.text)} characters. Give "
                "spans as [start, stop)."
            )
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


def _named(encoded: Encoded, name: str) -> list[tuple[int, int]]:
    if name == "prompt":
        return [(0, encoded.continuation if encoded.continuation >= 0 else len(encoded.text))]
    if name == "documents":
        if not encoded.documents:
            raise InputError("units='documents': this text has none; give interp.Chat(messages, documents=[…]).")
        return sorted(encoded.documents)
    near = nearest(name, NAMES)
    if not encoded.turns:
        raise InputError(
            f"units={name!r} is for chats, and this text is none: give a list of messages, or spans in units=.{near}"
        )
    if name == "messages":
        return list(encoded.turns)
    spans = [turn for turn, role in zip(encoded.turns, encoded.roles, strict=True) if role == name]
    if not spans:
        raise InputError(
            f"units={name!r}: no message of this chat has this role; its roles are "
            f"{', '.join(dict.fromkeys(encoded.roles))}. Or give one of {', '.join(NAMES)}, spans or a function.{near}"
        )
    return spans


def pairs(spans: Any, what: str) -> list[tuple[int, int]]:
    """Spans as a caller or a function gives them.

    Raises:
        InputError: they are not pairs of whole numbers.
    """
    try:
        return [(index(start), index(stop)) for start, stop in spans]
    except (TypeError, ValueError):
        shown = repr(spans)[:60]
        raise InputError(
            f"{what} is {shown}; a list of pairs of characters (start, stop) was expected, such as [(0, 5)]."
        ) from None


def clipped(spans: Spans, region: Spans | None) -> list[tuple[int, int]]:
    """The spans, cut at the edges of a region and without what is outside of it."""
    if region is None:
        return list(spans)
    return [
        (max(start, first), min(stop, last))
        for start, stop in spans
        for first, last in region
        if max(start, first) < min(stop, last)
    ]
