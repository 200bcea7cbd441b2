"""Units hold what tokens cover, whatever the tokenizer: each visible character of a token is in exactly one unit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interp_core.errors import InputError
from interp_core.text import DividedText, Encoded, Encoder, divide
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "the old dog was so happy -- no, so sad... what!! what -- no",
    "the cat's house; the dog's house. 3.5 times (or 1,000)!",
    "今日はとても楽しい一日でした。今日は悲しい。",
    "我今天很高兴。我今天很难过。",
    "วันนี้ฉันมีความสุขมาก",
    "😀😀 😀 👩‍👩‍👧 so 😀😀",
    "naïve café ½ ﬁne\nnew line\n\n  two  spaces\tand a tab",
] * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BYTES = pre_tokenizers.ByteLevel.alphabet()


def word_piece() -> Tokenizer:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    inner.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL))
    return inner


def byte_level(trim: bool = False, split: bool = True) -> Tokenizer:
    """Byte-level BPE as of GPT-2; with `trim` as of RoBERTa, whose lone `Ġ` covers nothing; without `split` as of a
    vocabulary whose tokens span words.
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split)
    inner.post_processor = processors.ByteLevel(trim_offsets=trim)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420 if split else 700, special_tokens=SPECIAL, initial_alphabet=BYTES)
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def unigram(split: bool = True) -> Tokenizer:
    """Unigram with a metaspace as of T5; without `split` its pieces span words."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    inner.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="[UNK]")
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def bytes_that_fall_back() -> Tokenizer:
    """BPE on characters that falls back to bytes, as of Llama 2: several tokens cover one character."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="[UNK]"))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*SPECIAL, *bytes_], limit_alphabet=40)
    inner.train_from_iterator(CORPUS[:1], trainer)
    return inner


def characters() -> Tokenizer:
    letters = {c: i for i, c in enumerate([*SPECIAL, *sorted(set("".join(CORPUS)))])}
    inner = Tokenizer(models.WordLevel(letters, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return inner


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "WordPiece": word_piece,
    "byte-level BPE": byte_level,
    "byte-level BPE with trimmed offsets": lambda: byte_level(trim=True),
    "byte-level BPE across words": lambda: byte_level(split=False),
    "Unigram": unigram,
    "Unigram across words": lambda: unigram(split=False),
    "BPE with bytes to fall back on": bytes_that_fall_back,
    "characters": characters,
}
GRANULARITIES = ("token", "word", "clause", "sentence", "sample")


@cache
def encoder_of(family: str) -> Encoder:
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return Encoder(PreTrainedTokenizerFast(tokenizer_object=FAMILIES[family](), **names), 10_000)


def is_whole(divided: DividedText) -> None:
    """Units are disjoint and in order, and hold each visible character of each of their tokens, and of no other."""
    bounds = [(unit.start, unit.stop) for unit in divided.units]
    assert all(divided.text[a:b] == unit.text and a < b for (a, b), unit in zip(bounds, divided.units, strict=True))
    assert all(stop <= start for (_, stop), (start, _) in pairwise(bounds)), bounds
    assert set(divided.unit_of[divided.unit_of >= 0].tolist()) == set(range(len(bounds)))
    for (start, stop), owner in zip(
        divided.offsets[~divided.special].tolist(), divided.unit_of[~divided.special].tolist(), strict=True
    ):
        visible = [i for i in range(start, stop) if not divided.text[i].isspace()]
        holders = [n for i in visible for n, (a, b) in enumerate(bounds) if a <= i < b]
        assert holders == ([owner] * len(visible) if owner >= 0 else []), (divided.text, bounds, (start, stop))


def is_covered(divided: DividedText) -> None:
    """Every token that is not special is in a unit."""
    assert bool(((divided.unit_of >= 0) | divided.special).all()), (divided.text, divided.unit_of.tolist())


def words(family: str, text: str, granularity: Any = "word") -> list[str]:
    divided = divide(encoder_of(family)(text), granularity)
    is_whole(divided)
    return [unit.text for unit in divided.units]


TEXTS = st.lists(
    st.sampled_from(
        [*"ab so-.,!?'\n\t\u3000\u200b\u200d\ufeff\u0301½ﬁ今日楽しวันน้😀👩", "--", "...", "\r\n", "the ", " house"]
    ),
    min_size=1,
    max_size=25,
).map("".join) | st.text(min_size=1, max_size=25)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(TEXTS.filter(str.strip))
def test_units_are_disjoint_and_hold_every_visible_character_of_their_tokens(family: str, text: str) -> None:
    encoder = encoder_of(family)
    try:
        encoded = encoder(text)
    except InputError as error:
        assert "no tokens" in str(error) and not encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        return
    assert encoded.ids.tolist() == encoder.tokenizer(text)["input_ids"]
    for granularity in GRANULARITIES:
        divided = divide(encoded, granularity)
        is_whole(divided)
        is_covered(divided)
        again = encoded.with_units([(unit.start, unit.stop) for unit in divided.units])
        assert again.units == divided.units and torch.equal(again.unit_of, divided.unit_of)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(TEXTS.filter(str.strip), st.lists(st.integers(0, 25), max_size=6, unique=True))
def test_spans_of_ones_own_grow_to_whole_tokens_and_leave_the_rest(family: str, text: str, bounds: list[int]) -> None:
    bounds = sorted(b for b in bounds if b <= len(text))
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))
    try:
        divided = divide(encoder_of(family)(text), lambda _: spans)
    except InputError:
        return
    is_whole(divided)
    for (start, stop), owner, special in zip(
        divided.offsets.tolist(), divided.unit_of.tolist(), divided.special.tolist(), strict=True
    ):
        touched = any(text[i : i + 1].strip() for a, b in spans for i in range(max(a, start), min(b, stop)))
        assert not touched or owner >= 0 or special


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(TEXTS.filter(str.strip), TEXTS.filter(str.strip))
def test_the_texts_of_a_pair_share_no_unit(family: str, first: str, second: str) -> None:
    try:
        encoded = encoder_of(family)((first, second))
    except InputError:
        return
    for granularity in GRANULARITIES:
        divided = divide(encoded, granularity)
        is_whole(divided)
        is_covered(divided)
        assert not any(unit.start < len(first) + 1 <= unit.stop for unit in divided.units)
        which = encoder_of(family).tokenizer(first, second).sequence_ids()
        for side, owner in zip(which, divided.unit_of.tolist(), strict=True):
            assert owner < 0 or (divided.units[owner].start > len(first)) == (side == 1)


def test_words_that_share_a_token_are_one_unit(real_model: Any) -> None:
    divided = divide(real_model("lm-tiny").encoder("what -- no"), "word")
    assert [unit.text for unit in divided.units] == ["what", "--", "no"]
    is_whole(divided)


def test_a_piece_that_spans_words_makes_them_one_unit() -> None:
    family = "byte-level BPE across words"
    tokens = encoder_of(family)("the old dog was so happy")
    longest = max((tokens.text[a:b] for a, b in tokens.offsets.tolist()), key=lambda piece: len(piece.split()))
    assert len(longest.split()) > 1
    assert any(len(unit.split()) > 1 for unit in words(family, tokens.text))


@pytest.mark.parametrize("granularity", ["token", "word", "sample"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_emoji_of_several_tokens_is_whole(family: str, granularity: str) -> None:
    divided = divide(encoder_of(family)("so 😀😀 sad"), granularity)
    is_whole(divided)
    is_covered(divided)


def test_a_token_without_characters_leaves_with_the_token_before_it() -> None:
    encoded = encoder_of("byte-level BPE with trimmed offsets")("so   sad")
    empty = [i for i, (start, stop) in enumerate(encoded.offsets.tolist()) if start == stop]
    assert empty, "RoBERTa's lone Ġ"
    divided = divide(encoded, "word")
    assert [divided.units[int(divided.unit_of[i])].text for i in empty] == ["so"] * len(empty)


def test_white_space_does_not_change_sides_at_the_end_of_a_prompt() -> None:
    encoder = encoder_of("byte-level BPE")
    divided = divide(encoder.with_continuation("so sad\n", " \n happy"), "word")
    owners = [divided.units[i].text for i in divided.unit_of.tolist()]
    assert set(owners[: divided.prompt]) == {"so", "sad"}
    assert set(owners[divided.prompt :]) == {"happy"}


def test_half_of_a_generated_character_is_in_the_unit_of_its_replacement() -> None:
    encoder = encoder_of("byte-level BPE")
    ids = encoder.tokenizer(" ok 🧿", add_special_tokens=False)["input_ids"][:-1]
    divided = divide(encoder.with_ids("so", ids), "word")
    is_whole(divided)
    is_covered(divided)
    assert divided.units[-1].text.endswith("\ufffd")


def test_a_unit_that_no_token_is_part_of_is_left_out() -> None:
    encoded = Encoded("a b", torch.tensor([1]), torch.tensor([[0, 1]]), torch.tensor([False]))
    assert [unit.text for unit in encoded.with_units([(0, 1), (2, 3)]).units] == ["a"]
