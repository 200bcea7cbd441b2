"""Which tokens of a vocabulary readers are shown, and how these are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>|<extra_id_\d+>|<\|reserved_special_token_\d+\|>|madeupword\d+")
VISIBLE = "␣⏎⇥␍"  # in place of blanks
BLANKS = str.maketrans(" \n\t\r", VISIBLE)
LABEL_TOKENS = 5  # of a label, at most


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens that a model predicts, and those of them that are shown.

    Attributes:
        tokenizer: the tokenizer.
        size: the number v of logits.
        ids: the ids (s) of the tokens that are shown, in ascending order.
    """

    tokenizer: Any
    size: int
    ids: Int[Tensor, " s"]

    @property
    def left_out(self) -> str:
        """A note on the tokens that are not shown; empty if there are none."""
        rest = self.size - len(self.ids)
        return f"{rest} of {self.size} tokens are special, unused or without text, and are not shown." if rest else ""

    def text(self, token: int) -> str:
        """A token as text with its blanks made visible; one that is a part of a character as the tokenizer names it."""
        name = str(self.tokenizer.convert_ids_to_tokens(token))
        if "▁" in name:  # decoding would drop the blank in front
            text = name.replace("▁", " ")
        else:
            text = str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))
        return name if not text or "\ufffd" in text else text.translate(BLANKS)

    def label(self, tokens: Iterable[int]) -> str | None:
        """The first few different tokens without the blanks around them, as one label; None if there are none."""
        distinct = dict.fromkeys(text.strip(VISIBLE) or text for text in map(self.text, tokens))
        return ", ".join(list(distinct)[:LABEL_TOKENS]) or None


def vocabulary_of(tokenizer: Any, size: int, *, special: bool = False) -> Vocabulary:
    """The vocabulary of a model.

    Args:
        tokenizer: its tokenizer.
        size: the number of its logits; ids that the tokenizer does not have are never shown.
        special: also show special and unused tokens.
    """
    known = {i: token for token, i in tokenizer.get_vocab().items() if 0 <= i < size}
    hidden = set(tokenizer.all_special_ids)
    hidden |= {i for i, token in tokenizer.added_tokens_decoder.items() if getattr(token, "special", False)}
    shown = [i for i, token in known.items() if special or not (i in hidden or UNUSED.fullmatch(str(token)))]
    return Vocabulary(tokenizer, size, torch.tensor(sorted(shown), dtype=torch.long))
