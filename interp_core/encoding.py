"""From text to the ids the model receives, with the characters each covers; never back by decoding."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.text import Encoded
from torch import nn

NO_LIMIT = 1_000_000


class Encoder:
    """Encodes texts with a private copy of a fast tokenizer.

    Args:
        tokenizer: the copy; its truncation settings may change, the user's own tokenizer's never do.
        max_tokens: the most tokens the model takes.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @cached_property
    def cls_position(self) -> int | None:
        """Where the tokenizer puts its classification token: 0 (first), -1 (last) or None (it adds none)."""
        cls = self.tokenizer.cls_token_id
        ids = self.tokenizer("a", verbose=False)["input_ids"]
        if cls is None or cls not in ids:
            return None
        return 0 if ids[0] == cls else -1

    def __call__(self, text: str) -> Encoded:
        """One text as the model receives it, cut (and said so in `cut`) where the model takes no more.

        Raises:
            InputError: not a string, or nothing but white space.
        """
        _check(text)
        found = self._ids(text)
        cut = max(0, len(found["input_ids"]) - self.max_tokens)
        if cut:
            found = self._ids(text, truncation=True, max_length=self.max_tokens)
        if all(found["special_tokens_mask"]):
            raise InputError(f"the text {text!r} has no tokens for this tokenizer.")
        return _encoded(text, found, cut)

    def with_continuation(self, prompt: str, continuation: str) -> Encoded:
        """A prompt followed by the text whose tokens are to be explained.

        Raises:
            InputError: the two together are longer than the model allows, or one of them is empty.
        """
        _check(continuation)
        head, tail = self._given(prompt), self._ids(continuation, add_special_tokens=False)
        return self._joined(prompt, head, continuation, tail)

    def with_ids(self, prompt: str, ids: list[int]) -> Encoded:
        """A prompt followed by ids that the model generated; the characters of each are found by decoding prefixes."""
        head = self._given(prompt)
        pieces = [self.tokenizer.decode(ids[:i], skip_special_tokens=False) for i in range(1, len(ids) + 1)]
        ends = [len(piece.rstrip("\ufffd")) for piece in pieces]
        starts = [0, *ends[:-1]]
        tail = {
            "input_ids": ids,
            "offset_mapping": [(min(a, b), b) for a, b in zip(starts, ends, strict=True)],
            "special_tokens_mask": [0] * len(ids),
        }
        return self._joined(prompt, head, pieces[-1] if pieces else "", tail)

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids of a prompt, without the end-of-text tokens that would close it."""
        return list(self._given(prompt)["input_ids"])

    def _given(self, prompt: str) -> dict[str, Any]:
        _check(prompt)
        found = self._ids(prompt)
        keep = len(found["input_ids"])
        while keep > 1 and found["special_tokens_mask"][keep - 1]:
            keep -= 1
        return {key: found[key][:keep] for key in ("input_ids", "offset_mapping", "special_tokens_mask")}

    def _joined(self, prompt: str, head: dict[str, Any], continuation: str, tail: dict[str, Any]) -> Encoded:
        total = len(head["input_ids"]) + len(tail["input_ids"])
        if total > self.max_tokens:
            raise InputError(
                f"prompt and continuation have {total} tokens; this model takes {self.max_tokens}. Shorten one of them."
            )
        shifted = [(a + len(prompt), b + len(prompt)) for a, b in tail["offset_mapping"]]
        both = {
            "input_ids": [*head["input_ids"], *tail["input_ids"]],
            "offset_mapping": [*head["offset_mapping"], *shifted],
            "special_tokens_mask": [*head["special_tokens_mask"], *tail["special_tokens_mask"]],
        }
        return _encoded(prompt + continuation, both, 0, prompt=len(head["input_ids"]))

    def _ids(self, text: str, **options: Any) -> dict[str, Any]:
        settings = {"truncation": False, "padding": False, **options}
        return dict(
            self.tokenizer(
                text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False, **settings
            )
        )


def _check(text: Any) -> None:
    if not isinstance(text, str):
        raise InputError(f"a text is {type(text).__name__}; a string was expected.")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"a text holds half of a character (a lone surrogate): {text[:60]!r}. Read it again as UTF-8.")
    if not text.strip():
        raise InputError("a text is empty; there is nothing to explain in it.")


def _encoded(text: str, found: dict[str, Any], cut: int, prompt: int = -1) -> Encoded:
    return Encoded(
        text=text,
        ids=torch.tensor(found["input_ids"], dtype=torch.long),
        offsets=torch.tensor(found["offset_mapping"], dtype=torch.long).reshape(-1, 2),
        special=torch.tensor(found["special_tokens_mask"], dtype=torch.bool),
        prompt=prompt if prompt >= 0 else len(found["input_ids"]),
        cut=cut,
    )


def most_tokens(model: Any, tokenizer: Any) -> int:
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
