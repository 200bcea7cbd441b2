"""Tokenizers that do not say which characters a token covers: it is found out, or refused, never guessed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interp_core.attribution import attribute
from interp_core.errors import InputError
from interp_core.model import TextModel
from interp_core.text import Encoder, divide
from transformers import (
    ByT5Tokenizer,
    CanineTokenizer,
    PreTrainedTokenizer,
    T5Config,
    T5ForConditionalGeneration,
)


class Slow(PreTrainedTokenizer):
    """A tokenizer in Python whose tokens are what a function makes of a text; ids are given as tokens come."""

    def __init__(self, tokens_of: Callable[[str], list[str]], **options: Any) -> None:
        self.tokens_of = tokens_of
        self.known = ["<pad>", "<unk>", "<s>", "</s>"]
        names = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), self.known, strict=True))
        super().__init__(**names, **options)

    @property
    def vocab_size(self) -> int:
        return 1_000

    def get_vocab(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.known)}

    def _tokenize(self, text: str, **_options: Any) -> list[str]:
        return self.tokens_of(text)

    def _convert_token_to_id(self, token: str) -> int:
        if token not in self.known:
            self.known.append(token)
        return self.known.index(token)

    def _convert_id_to_token(self, index: int) -> str:
        return self.known[index]

    def build_inputs_with_special_tokens(self, ids: list[int], pair: list[int] | None = None) -> list[int]:
        return [2, *ids, 3] if pair is None else [2, *ids, 3, 3, *pair, 3]


def sentence_pieces(text: str) -> list[str]:
    """As sentencepiece: compatible characters, words begin with a mark, rare characters fall back to bytes."""
    marked = "\u2581" + "\u2581".join(unicodedata.normalize("NFKC", text).split())
    pieces: list[str] = []
    for letter in marked:
        if ord(letter) > 0x3000 and letter != "\u2581":
            pieces += [f"<0x{byte:02X}>" for byte in letter.encode()]
        elif letter == "\u2581" or not pieces or len(pieces[-1]) > 3:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


def joined_by_marks(text: str) -> list[str]:
    """As PhoBERT's BPE: a piece that goes on ends in `@@`."""
    return [
        piece for word in text.lower().split() for piece in ([word] if len(word) < 3 else [f"{word[:2]}@@", word[2:]])
    ]


def unknown_words(text: str) -> list[str]:
    return ["<unk>" if not word.isascii() else word for word in text.split()]


MADE: dict[str, Callable[[], Any]] = {
    "bytes": ByT5Tokenizer,
    "code points": CanineTokenizer,
    "characters": lambda: Slow(list),
    "sentencepiece": lambda: Slow(sentence_pieces),
    "BPE": lambda: Slow(joined_by_marks),
    "words, some unknown": lambda: Slow(unknown_words),
}


@cache
def tokenizer_of(name: str) -> Any:
    return MADE[name]()


TEXT = st.lists(st.sampled_from([*"ab so-.,!'\n\u3000\u0301½ﬁÄ今日😀", "the "]), min_size=1, max_size=20).map("".join)


@pytest.mark.parametrize("name", [name for name in MADE if name != "code points"])  # slow to call
@settings(max_examples=25, deadline=None, derandomize=True)
@given(TEXT.filter(str.strip))
def test_ids_are_the_tokenizers_own_and_every_visible_character_has_a_token(name: str, text: str) -> None:
    tokenizer = tokenizer_of(name)
    encoded = Encoder(tokenizer_of(name), 1_000)(text)
    assert encoded.ids.tolist() == tokenizer(text)["input_ids"]
    covered = {i for start, stop in encoded.offsets.tolist() for i in range(start, stop)}
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered | combining(text)
    assert encoded.offsets.tolist() == sorted(encoded.offsets[~encoded.special].tolist()) or encoded.special.any()
    divided = divide(encoded, "word")
    assert bool(((divided.unit_of >= 0) | divided.special).all())


def combining(text: str) -> set[int]:
    """Marks that normalisation joins with the letter before them, or with white space."""
    return {i for i, c in enumerate(text) if unicodedata.combining(c)}


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("bytes", ["ﬁ"] * 3 + [" "] + ["é"] * 2 + ["A"]),
        ("code points", ["ﬁ", " ", "é", "A"]),
        ("characters", ["ﬁ", " ", "é", "A"]),
        ("sentencepiece", ["ﬁ", "éA"]),
        ("BPE", ["ﬁ", "éA"]),
        ("words, some unknown", ["ﬁ", "éA"]),
    ],
)
def test_each_token_covers_what_it_stands_for(name: str, pieces: list[str]) -> None:
    encoded = Encoder(tokenizer_of(name), 100)("ﬁ éA")
    assert [encoded.text[a:b] for a, b in encoded.offsets[~encoded.special].tolist()] == pieces


@pytest.mark.parametrize("name", MADE)
def test_special_tokens_are_those_around_the_texts(name: str) -> None:
    tokenizer = tokenizer_of(name)
    encoded = Encoder(tokenizer_of(name), 100)(("so sad", "why?"))
    assert encoded.ids.tolist() == tokenizer("so sad", "why?")["input_ids"]
    own = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("so sad", "why?")]
    assert int((~encoded.special).sum()) == sum(map(len, own))
    assert [u.text for u in divide(encoded, "word").units][:2] == ["so", "sad"]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("truncation", ["longest_first", "only_first"])
def test_long_texts_are_cut_as_the_tokenizer_cuts_them(truncation: str, side: str) -> None:
    first, second = " ".join(f"w{i}" for i in range(20)), "so sad"
    tokenizer = Slow(str.split, truncation_side=side)
    encoder = Encoder(tokenizer, 12)
    plain = tokenizer(first, second, truncation=truncation, max_length=12)["input_ids"]
    encoded = encoder((first, second), truncation)
    assert encoded.ids.tolist() == plain
    words = [encoded.text[a:b] for a, b in encoded.offsets[~encoded.special].tolist()]
    assert words == [*(first.split()[:6] if side == "right" else first.split()[-6:]), "so", "sad"]
    alone = encoder(first)
    assert alone.ids.tolist() == tokenizer(first, truncation=True, max_length=12)["input_ids"] and alone.cut == 10


def test_what_cannot_be_aligned_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"'so sad' each token covers is not known: Slow is not a fast tokenizer"):
        Encoder(Slow(lambda text: text.split()[::-1] or ["x"]), 100)("so sad")


def test_a_model_that_reads_bytes_is_explained_by_words() -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    model = TextModel(T5ForConditionalGeneration(config).eval(), ByT5Tokenizer())
    (found,) = attribute(model, "so sad é", by="occlusion", targets="ü", progress=False)
    assert found.words == ["so", "sad", "é", "ü"] and found.scores.isfinite().all()
    assert len(found.targets) == 2  # two bytes
