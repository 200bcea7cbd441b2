"""The characters that each token covers, for tokenizers that are not fast and do not return offsets.

The tokens are laid along the text: as bytes (ByT5), as characters (CANINE), or as pieces with the marks of
sentencepiece and of BPE; and where that fails, word by word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import regex
from interp_core.errors import InputError

Offsets = list[tuple[int, int]]
Ids = list[int]

_BYTE = regex.compile(r"<0x([0-9A-F]{2})>")  # sentencepiece falls back to bytes
_MARKS = regex.compile(r"\s|\u2581|^##|@@$|</w>$")  # of sentencepiece, WordPiece, and BPE of two kinds


def aligned(tokenizer: Any, parts: Sequence[Any], settings: dict[str, Any]) -> dict[str, Any]:
    """What a tokenizer that is not fast gives for a text or a pair, with the characters of each token.

    Args:
        tokenizer: the tokenizer.
        parts: the text, or the two texts of a pair; None with `text_target` among the settings.
        settings: the options of the call.

    Returns:
        What the tokenizer gives, with an `offset_mapping`, a `special_tokens_mask` and `sequence_ids` (None, 0 or 1).

    Raises:
        InputError: the text cannot be aligned with its tokens.
    """
    encoding = dict(tokenizer(*parts, **settings))
    ids = list(encoding["input_ids"])
    uncut = {**settings, "truncation": False, "max_length": None}
    whole = list(tokenizer(*parts, **uncut)["input_ids"]) if settings["truncation"] else ids
    if "text_target" in settings:
        texts = [settings["text_target"]]
        own = [list(tokenizer(text_target=texts[0], add_special_tokens=False, verbose=False)["input_ids"])]
    else:
        texts = list(parts)
        own = [list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in texts]
    placed = _places(ids, whole, own, getattr(tokenizer, "truncation_side", "right") == "left")
    if placed is None:
        raise _unaligned(tokenizer, texts[0])
    offsets: Offsets = [(0, 0)] * len(ids)
    which: list[int | None] = [None] * len(ids)
    for number, (text, tokens, (place, kept)) in enumerate(zip(texts, own, placed, strict=True)):
        size = len(range(*kept.indices(len(tokens))))
        offsets[place : place + size] = _offsets(tokenizer, text, tokens)[kept]
        which[place : place + size] = [number] * size
    special = [int(number is None) for number in which]
    return {**encoding, "offset_mapping": offsets, "special_tokens_mask": special, "sequence_ids": which}


def _places(ids: Ids, whole: Ids, own: Sequence[Ids], left: bool) -> list[tuple[int, slice]] | None:
    """Where the ids of each text begin among those of the model, and which of them were kept; None if nowhere."""
    around, start = [], 0
    for tokens in own:
        place = next((i for i in range(start, len(whole) + 1) if whole[i : i + len(tokens)] == tokens), None)
        if place is None:
            return None
        around.append(whole[start:place])
        start = place + len(tokens)
    around.append(whole[start:])
    room = len(ids) - sum(map(len, around))
    first = len(own[0])
    for count in range(min(first, room), -1, -1) if len(own) == 2 else [room]:
        counts = [count, room - count][: len(own)]
        kept = [
            slice(len(tokens) - n if left else 0, len(tokens) if left else n)
            for n, tokens in zip(counts, own, strict=True)
        ]
        rows = [tokens[part] for tokens, part in zip(own, kept, strict=True)]
        places = [len(around[0])] + [len(around[0]) + len(rows[0]) + len(around[1])] * (len(own) - 1)
        joined = around[0] + [i for row, after in zip(rows, around[1:], strict=True) for i in (*row, *after)]
        if joined == ids:
            return list(zip(places, kept, strict=True))
    return None


def _offsets(tokenizer: Any, text: str, ids: Ids) -> Offsets:
    """The characters that each id of a text covers.

    Raises:
        InputError: they are not known.
    """
    if (offsets := _along(text, tokenizer.convert_ids_to_tokens(ids))) is not None:
        return offsets
    words = [match.span() for match in regex.finditer(r"\S+", text)]
    own = [tokenizer(text[a:b], add_special_tokens=False, verbose=False)["input_ids"] for a, b in words]
    if [i for word in own for i in word] != ids:
        raise _unaligned(tokenizer, text)
    offsets = []
    for (start, stop), word in zip(words, own, strict=True):
        inside = _along(text[start:stop], tokenizer.convert_ids_to_tokens(word))
        # an unknown token, or a word that is rewritten: each of its tokens stands for the whole word
        offsets += [(start, stop)] * len(word) if inside is None else [(start + a, start + b) for a, b in inside]
    return offsets


def _along(text: str, tokens: Sequence[str]) -> Offsets | None:
    """The characters of each token, if the tokens in one of their readings are the text; else None."""
    for surface, form in product(_SURFACES, _FORMS):
        pieces = [surface(token) for token in tokens]
        if None in pieces:
            continue
        letters = [(byte, i) for i, c in enumerate(text) for byte in _SURFACES[surface](form(c))]
        known = [piece for piece in pieces if piece is not None]
        if b"".join(known) != bytes(byte for byte, _ in letters):
            continue
        offsets, read, reached = [], 0, 0
        for piece in known:
            covered = [i for _, i in letters[read : read + len(piece)]]
            start, reached = (covered[0], covered[-1] + 1) if covered else (reached, reached)
            offsets.append((start, reached))
            read += len(piece)
        return offsets
    return None


def _character(token: str) -> bytes | None:
    return token.encode() if len(token) == 1 else None


def _byte(token: str) -> bytes | None:
    return bytes([ord(token)]) if len(token) == 1 and ord(token) < 256 else None


def _piece(token: str) -> bytes | None:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else _MARKS.sub("", token).encode()


def _visible(character: str) -> bytes:
    return "".join(character.split()).encode()


# how a token is read, and how a character of the text is then
_SURFACES: dict[Callable[[str], bytes | None], Callable[[str], bytes]] = {
    _character: str.encode,
    _byte: str.encode,
    _piece: _visible,
}
# what tokenizers make of single characters: nothing, or the compatible ones, the small ones, or both
_FORMS: tuple[Callable[[str], str], ...] = (
    str,
    lambda c: unicodedata.normalize("NFKC", c),
    str.lower,
    lambda c: unicodedata.normalize("NFKC", c).lower(),
)


def _unaligned(tokenizer: Any, text: str) -> InputError:
    return InputError(
        f"which characters of {text[:60]!r} each token covers is not known: {type(tokenizer).__name__} is not a fast "
        "tokenizer, its tokens joined are not the text, and its words are not tokenised one by one. Use a fast "
        "tokenizer of the same vocabulary (a PreTrainedTokenizerFast), if there is one."
    )
