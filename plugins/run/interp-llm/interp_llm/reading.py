"""From an answer to what it says: without thoughts, or the JSON in it."""

from __future__ import annotations

import json
import re
from typing import Any

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)  # of a thought that the chat template has opened
_CUT_OFF = re.compile(r"^[ \t]*<think(?:ing)?>", re.MULTILINE | re.IGNORECASE)  # elsewhere the tag is spoken of
_OPENING = re.compile(r"[{\[]")
_LIKE_JSON = re.compile(r'\{\s*(?:["}]|\Z)|\[\s*(?:[\[{"\]\d-]|true|false|null|\Z)')
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: _refuse(name))


def spoken(answer: str) -> str:
    """An answer without the thoughts of models that think aloud.

    Args:
        answer: the text of an answer.

    Returns:
        What stands outside `<think>…</think>`, and after a `</think>` that nothing opened, without blank ends. Empty if
        the answer broke off within a thought: then nothing was said.

    Examples:
        >>> from interp_llm.reading import spoken
        >>> spoken("<think>apples, pears …</think> fruit"), spoken("apples, pears …</think> fruit")
        ('fruit', 'fruit')
        >>> spoken("<think>apples, pe")
        ''
    """
    said = _END.split(_THOUGHTS.sub("", answer))[-1]
    return "" if _CUT_OFF.search(said) else said.strip()


def json_in(answer: str) -> Any | None:
    """The JSON object or array in an answer.

    Args:
        answer: the text of an answer: bare JSON, or JSON in a fenced block, among prose or after thoughts.

    Returns:
        The longest object or array in what is spoken; the first of several of one length. None if none is whole and
        valid; the inner parts of one that is broken or cut off do not stand for it.

    Examples:
        >>> from interp_llm.reading import json_in
        >>> json_in('Both of [1] and [2]:\\n```json\\n{"label": "fruit"}\\n```')
        {'label': 'fruit'}
        >>> json_in('{"label": "fruit", "words": ["apple", "pe') is None
        True
    """
    text = spoken(answer)
    longest, found, place = 0, None, 0
    while opening := _OPENING.search(text, place):
        start = opening.start()
        try:
            value, place = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError too
            place = _end_of_broken(text, start) if _LIKE_JSON.match(text, start) else start + 1
            continue
        if place - start > longest:
            longest, found = place - start, value
    return found


def _end_of_broken(text: str, start: int) -> int:
    """Where something that looks like JSON, and cannot be read, ends: behind its last bracket, or with the text."""
    depth = 0
    for part in _STRING_OR_BRACKET.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(part[0], 0)
        if depth == 0 and part[0] in "}]":
            return part.end()
    return len(text)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
