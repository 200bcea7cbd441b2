"""From text to the ids the model receives, with the characters each covers; never back by decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.text._chat_template import rendered
from interp_core.text._encoded import Encoded
from interp_core.text._inputs import Text
from torch import nn

NO_LIMIT = 1_000_000
BETWEEN = "\n"  # what a reader sees between the two texts of a pair, or between source and translation


class Encoder:
    """Encodes texts with a private copy of a fast tokenizer.

    Args:
        tokenizer: the copy; its truncation settings may change, the user's own tokenizer's never do.
        max_tokens: the most tokens the model takes.
        start_id: of a model with a decoder of its own, the id that the decoder starts with.
    """

    def __init__(self, tokenizer: Any, max_tokens: int, start_id: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.start_id = start_id

    @cached_property
    def cls_position(self) -> int | None:
        """Where the tokenizer puts its classification token: 0 (first), -1 (last) or None (it adds none)."""
        cls = self.tokenizer.cls_token_id
        ids = self.tokenizer("a", verbose=False)["input_ids"]
        if cls is None or cls not in ids:
            return None
        return 0 if ids[0] == cls else -1

    def __call__(self, text: Text) -> Encoded:
        """One text, pair of texts or chat as the model receives it, cut (and said so in `cut`) where the model takes
        no more.

        Raises:
            InputError: not a text, or nothing but white space.
        """
        return self._encoded(text, self.max_tokens)

    def prompt(self, text: Text) -> Encoded:
        """A text that something is to follow: without the special tokens that would close it, or, for a model with a
        decoder of its own, whole and with the token that the decoder starts with.
        """
        encoded = replace(self._encoded(text, NO_LIMIT), types=None)  # generators are not told of types
        if self.start_id is not None:
            return _extended(encoded, [self.start_id], [(0, 0)], [True], source=len(encoded))
        count = len(encoded)
        while count > 1 and bool(encoded.special[count - 1]) and not encoded.turns:
            count -= 1
        return _first(encoded, count)

    def with_continuation(self, prompt: Text, continuation: str) -> Encoded:
        """A prompt followed by the text whose tokens are to be explained.

        Raises:
            InputError: the two together are longer than the model allows, or one of them is empty.
        """
        _check(continuation)
        if self.start_id is None:
            tail = self._ids(continuation, add_special_tokens=False)
        else:
            tail = self._ids(None, text_target=continuation)
            own = len(tail["input_ids"])
            while own > 1 and tail["special_tokens_mask"][own - 1]:
                own -= 1
            tail = {key: value[:own] for key, value in tail.items()}
        return self._joined(prompt, continuation, tail)

    def with_ids(self, prompt: Text, ids: list[int]) -> Encoded:
        """A prompt followed by ids that the model generated; the characters of each are found by decoding prefixes."""
        special = set(self.tokenizer.all_special_ids) if self.start_id is not None else set()
        pieces = [
            self.tokenizer.decode([j for j in ids[:i] if j not in special], skip_special_tokens=False)
            for i in range(1, len(ids) + 1)
        ]
        ends = [len(piece.rstrip("\ufffd")) for piece in pieces]
        spans = [(min(a, b), b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        for i in range(len(ids) - 2, -1, -1):  # the first bytes of a character stand where it does
            if spans[i][0] == spans[i][1] and ids[i] not in special:
                spans[i] = spans[i + 1]
        tail = {
            "input_ids": ids,
            "offset_mapping": spans,
            "special_tokens_mask": [int(i in special) for i in ids],
        }
        return self._joined(prompt, pieces[-1] if pieces else "", tail)

    def prompt_ids(self, prompt: Text) -> list[int]:
        """The ids of a prompt, without the end-of-text tokens that would close it."""
        encoded = self.prompt(prompt)
        found: list[int] = encoded.ids[: encoded.source or None].tolist()
        return found

    def _joined(self, prompt: Text, continuation: str, tail: dict[str, Any]) -> Encoded:
        given = self.prompt(prompt)
        whole, most = len(given) + len(tail["input_ids"]), self.max_tokens
        if max(given.source, whole - given.source) > most:
            raise InputError(
                f"prompt and continuation have {whole} tokens; this model takes {most}. Shorten one of them."
            )
        between = "" if self.start_id is None else BETWEEN
        start = len(given.text) + len(between)
        shifted = [(a + start, b + start) for a, b in tail["offset_mapping"]]
        special = [bool(s) for s in tail["special_tokens_mask"]]
        joined = _extended(given, tail["input_ids"], shifted, special, source=given.source)
        return replace(joined, text=given.text + between + continuation, prompt=len(given))

    def _encoded(self, text: Any, most: int) -> Encoded:
        if isinstance(text, str):
            _check(text)
            return self._limited(text, (text,), most)
        if isinstance(text, Sequence) and text and all(isinstance(m, Mapping) for m in text):
            return self._chat(text, most)
        if isinstance(text, tuple) and len(text) == 2:
            return self._pair(text, most)
        raise InputError(
            f"a text is {type(text).__name__}; a string, a pair of strings or a list of messages was expected."
        )

    def _limited(self, text: str, parts: tuple[str, ...], most: int, **options: Any) -> Encoded:
        found = self._ids(*parts, **options)
        cut = max(0, len(found["input_ids"]) - most)
        if cut:
            which = "only_second" if len(parts) == 2 else True
            try:
                found = self._ids(*parts, truncation=which, max_length=most, **options)
            except Exception as error:  # the tokenizer's own, of no class
                raise InputError(
                    f"the first of the two texts alone is longer than the {most} tokens allowed."
                ) from error
        if all(found["special_tokens_mask"]):
            raise InputError(f"the text {text!r} has no tokens for this tokenizer.")
        return _as_encoded(text, found, cut, self.tokenizer.mask_token_id)

    def _pair(self, pair: tuple[str, str], most: int) -> Encoded:
        """Two texts as one: the reader sees them one after the other, the model what its tokenizer makes of a pair."""
        for part in pair:
            _check(part)
        first, second = pair
        start = len(first) + len(BETWEEN)
        encoded = self._limited(first + BETWEEN + second, pair, most)
        which = self._second_of(pair, len(encoded), bool(encoded.cut))
        offsets = torch.where(which[:, None], encoded.offsets + start, encoded.offsets)
        return replace(encoded, offsets=offsets, borders=(len(first), start))

    def _second_of(self, pair: tuple[str, str], count: int, cut: bool) -> torch.Tensor:
        options = {"truncation": "only_second", "max_length": count} if cut else {}
        found = self.tokenizer(*pair, verbose=False, **options)
        return torch.tensor([number == 1 for number in found.sequence_ids()])

    def _chat(self, messages: Sequence[Mapping[str, Any]], most: int) -> Encoded:
        """Messages through the tokenizer's own template, ready for an answer; only what they say can be removed."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise UnsupportedError("this tokenizer has no chat template; give the prompt as a string.")
        text, turns = rendered(self.tokenizer, [dict(m) for m in messages])
        encoded = self._limited(text, (text,), most, add_special_tokens=False)
        inside = [any(a < stop and start < b for start, stop in turns) for a, b in encoded.offsets.tolist()]
        borders = tuple(edge for turn in turns for edge in turn)
        special = encoded.special | ~torch.tensor(inside)
        return replace(encoded, special=special, borders=borders, turns=turns)

    def _ids(self, *parts: Any, **options: Any) -> dict[str, Any]:
        settings = {"truncation": False, "padding": False, **options}
        wanted = {"return_offsets_mapping": True, "return_special_tokens_mask": True, "verbose": False}
        return dict(self.tokenizer(*parts, **wanted, **settings))


def _check(text: Any) -> None:
    if not isinstance(text, str):
        raise InputError(f"a text is {type(text).__name__}; a string was expected.")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"a text holds half of a character (a lone surrogate): {text[:60]!r}. Read it again as UTF-8.")
    if not text.strip():
        raise InputError("a text is empty; there is nothing to explain in it.")


def _as_encoded(text: str, found: dict[str, Any], cut: int, mask_id: int | None) -> Encoded:
    ids = torch.tensor(found["input_ids"], dtype=torch.long)
    special = torch.tensor(found["special_tokens_mask"], dtype=torch.bool)
    if mask_id is not None:
        special |= ids == mask_id  # the gap in a text is the question itself; it is never removed
    types = found.get("token_type_ids")
    return Encoded(
        text=text,
        ids=ids,
        offsets=torch.tensor(found["offset_mapping"], dtype=torch.long).reshape(-1, 2),
        special=special,
        prompt=len(ids),
        cut=cut,
        types=torch.tensor(types) if types is not None and any(types) else None,
    )


def _extended(
    given: Encoded, ids: Sequence[int], offsets: Sequence[tuple[int, int]], special: Sequence[bool], source: int
) -> Encoded:
    """The text followed by more tokens, which belong to the prompt."""
    more = torch.tensor(list(offsets), dtype=torch.long).reshape(-1, 2)
    return replace(
        given,
        ids=torch.cat([given.ids, torch.tensor(list(ids), dtype=torch.long)]),
        offsets=torch.cat([given.offsets, more]),
        special=torch.cat([given.special, torch.tensor(list(special), dtype=torch.bool)]),
        prompt=len(given) + len(ids),
        source=source,
    )


def _first(encoded: Encoded, count: int) -> Encoded:
    cut = {name: getattr(encoded, name)[:count] for name in ("ids", "offsets", "special")}
    types = None if encoded.types is None else encoded.types[:count]
    return replace(encoded, **cut, types=types, prompt=count)


def max_tokens(model: Any, tokenizer: Any) -> int:
    """The most tokens a model takes: the least of what its tokenizer and its table of positions allow."""
    table = getattr(model.config, "max_position_embeddings", None)
    tables = [table - _first_position(model, table)] if isinstance(table, int) and table > 0 else []
    return min(getattr(tokenizer, "model_max_length", None) or NO_LIMIT, NO_LIMIT, *tables)


def _first_position(model: nn.Module, table: int) -> int:
    """Where positions start: some tables keep their first rows for padding."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == table and module.padding_idx is not None:
            return module.padding_idx + 1
    return 0
