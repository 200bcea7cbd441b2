"""Which tokens are shown, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from interp_vocabulary_projection.tokens import vocabulary_of


class Pieces:
    """A tokenizer of pieces with a blank written as sentencepiece does, and of bytes."""

    names = ("▁so", "so", "▁", "<0x0A>", "Ã", "[unused3]", "<s>")
    texts = ("so", "so", "", "\n", "\ufffd", "[unused3]", "<s>")
    all_special_ids = (6,)
    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012

    def get_vocab(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.names[token]

    def decode(self, ids: list[int], **_: Any) -> str:
        return self.texts[ids[0]]


def test_tokens_are_written_as_text_with_visible_blanks() -> None:
    vocabulary = vocabulary_of(Pieces(), 9)
    assert [vocabulary.text(i) for i in vocabulary.ids.tolist()] == ["␣so", "so", "␣", "⏎", "Ã"]
    assert vocabulary.label([0, 1, 2, 4]) == "so, ␣, Ã" and vocabulary.label([]) is None
    assert vocabulary.left_out.startswith("4 of 9 tokens")
    assert vocabulary_of(Pieces(), 9, special=True).ids.tolist() == [*range(7)]


@pytest.mark.real
def test_tokens_of_a_real_model_are_words_with_their_blank(real_model: Callable[[str], Any]) -> None:
    model = real_model("lm-tiny")
    vocabulary = vocabulary_of(model.tokenizer, len(model.tokenizer))
    (token,) = model.tokenizer(" king", add_special_tokens=False)["input_ids"]
    assert vocabulary.text(token) == "␣king" and vocabulary.label([token]) == "king"
