"""What a server says of one prompt: its tokens, with the characters that each covers, and their log-probabilities."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from interp_core.errors import ModelError, UnsupportedError

Span = tuple[int, int]  # characters [start, stop)
REPLACEMENT = "\ufffd"  # in place of bytes that are no whole character
BYTES = re.compile(rf"{REPLACEMENT}|^bytes:|^<0x[0-9A-F]{{2}}>$")  # how servers show tokens that are no whole character


@dataclass(frozen=True)
class Reply:
    """The tokens of one prompt.

    Attributes:
        text: the prompt.
        spans: (t) the characters of each token; bytes of one character share it, a token that the server adds has none.
        logprobs: (t) the log-probability of each token after those before it; None for the first.
        best: (t) the likeliest token in the place of each; None for the first.
        written: what the server wrote after the prompt.

    Examples:
        >>> from interp_remote.reply import Reply
        >>> reply = Reply.read("so sad", {"tokens": ["<s>", "so", " sad"], "logprobs": [None, -2.0, -1.5]})
        >>> [reply.text[start:stop] for start, stop in reply.spans], reply.opens
        (['', 'so', ' sad'], True)
    """

    text: str
    spans: tuple[Span, ...]
    logprobs: tuple[float | None, ...]
    best: tuple[str | None, ...]
    written: str = ""

    @property
    def opens(self) -> bool:
        """Whether the server puts a token in front, so that the first one of the prompt has a log-probability too."""
        return bool(self.spans) and self.spans[0] == (0, 0)

    @property
    def pieces(self) -> list[Span]:
        """The characters of the tokens of the prompt itself, those that share some as one piece."""
        return list(dict.fromkeys(span for span in self.spans if span[0] < span[1]))

    @classmethod
    def read(cls, text: str, said: dict[str, Any]) -> Reply:
        """The reply that a server gave, or a cache kept.

        Args:
            text: the prompt.
            said: the strings `tokens`, their `logprobs`, the `best` tokens and what was `written`.

        Raises:
            UnsupportedError: the tokens are not those of the prompt.
            ModelError: a token other than the first has no finite log-probability.
        """
        tokens = said["tokens"]
        spans = aligned(tokens, text)
        logprobs, best = said["logprobs"][: len(spans)], (said.get("best") or [None] * len(tokens))[: len(spans)]
        for place, value in enumerate(logprobs):
            if place and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ModelError(
                    f"the server gives {value!r} as the log-probability of {tokens[place]!r}, token {place} of "
                    f"{text[:60]!r}; a finite number was expected."
                )
        first = [None if value is None else float(value) for value in logprobs[:1]]
        return cls(text, tuple(spans), (*first, *map(float, logprobs[1:])), tuple(best), said.get("written", ""))


def plain(said: Any) -> dict[str, Any]:
    """What is kept of a completion: JSON values.

    Args:
        said: a choice of a completion, with the logprobs of its tokens.

    Raises:
        UnsupportedError: it has none.
    """
    logprobs = said.logprobs
    tokens = getattr(logprobs, "tokens", None)
    if not tokens:
        raise UnsupportedError(
            "this server gives no log-probabilities of the tokens of a prompt (logprobs of /v1/completions), from "
            "which everything here is computed. Serve the model with vLLM or FastChat, or "
            "load it with interp.load(path)."
        )
    if len(logprobs.token_logprobs) != len(tokens):
        raise ValueError(f"{len(tokens)} tokens have {len(logprobs.token_logprobs)} log-probabilities")
    tops = getattr(logprobs, "top_logprobs", None) or [None] * len(tokens)
    best = [max(top, key=top.get) if top else None for top in tops]
    return {"tokens": list(tokens), "logprobs": list(logprobs.token_logprobs), "best": best}


def aligned(tokens: list[str], text: str) -> list[Span]:
    """The characters that each token of a text covers.

    Args:
        tokens: the strings of the tokens; there may be more after the text. One that does not spell what it stands for
            (a token that the server adds, or bytes of a character) covers what lies before the next one that does.
        text: the text.

    Raises:
        UnsupportedError: the tokens do not spell the text.

    Examples:
        >>> from interp_remote.reply import aligned
        >>> aligned(["<s>", "so", " s", "ad", "!"], "so sad")
        [(0, 0), (0, 2), (2, 4), (4, 6)]
    """
    spans: list[Span] = []
    place = number = 0
    while place < len(text) and number < len(tokens):
        piece = tokens[number]
        if _at(piece, text, place) == place:
            spans.append((place, place + len(piece) - (not text.startswith(piece, place))))
        else:
            spans += _unspelt(tokens[number:], text, place)
        place, number = spans[-1][1], len(spans)
    if place < len(text):
        raise UnsupportedError(
            f"the tokens that the server gives, {tokens[:6]}…, do not spell the prompt {text[:60]!r}: it ignores echo, "
            "and gives only what it writes itself. Serve the model with vLLM or FastChat, or "
            "load it with interp.load(path)."
        )
    return spans


def _at(piece: str, text: str, place: int) -> int:
    """Where a token begins, from a place on; -1 if it spells nothing there."""
    if hidden(piece):
        return -1
    if place == 0 and piece[0] == " " and not text.startswith(piece) and text.startswith(piece[1:]):
        return 0  # some show the space that they put in front of a text
    return text.find(piece, place)


def hidden(piece: str) -> bool:
    """Whether a token does not show its characters: bytes of one, or a special token that a server leaves out."""
    return not piece or bool(BYTES.search(piece))


def _unspelt(tokens: list[str], text: str, place: int) -> list[Span]:
    """The spans of the tokens up to the next one that spells what it stands for, all of them the same."""
    for count, piece in enumerate(tokens[1:], 1):
        found = _at(piece, text, place)
        if found == place or (found > place and all(map(hidden, tokens[:count]))):
            return [(place, found)] * count
    count = next((i for i, piece in enumerate(tokens) if not hidden(piece)), len(tokens))
    return [(place, len(text))] * count or [(place, place)] * len(tokens)


def kept(said: dict[str, Any]) -> str:
    """What a cache keeps of a reply."""
    return json.dumps(said)
