"""Tokenizers of the kinds in use, trained on a few sentences: word pieces, byte pairs, unigrams, characters, bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "i feel so happy today and the sun was warm",
    "the old dog was never calm but the cat was always good",
    "a red house on the road by the tree",
    "she said that the night was cold and the rain was bad",
    "what a day it was when we were young and glad",
    "never tired of the blue sky over the sea",
] * 4
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
PAD, BOS, EOS, UNK, MASK = range(5)
KINDS = ("word pieces", "byte pairs", "unigrams", "unigrams over words", "characters", "bytes")
VOCABULARY = 272  # the bytes, and some of their pairs
LONGEST = 96


@cache
def _trained(kind: str) -> str:
    """A trained tokenizer as JSON."""
    special = list(SPECIAL)
    if kind == "word pieces":
        inner = Tokenizer(models.WordPiece(unk_token="<unk>"))
        inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
        inner.decoder = decoders.WordPiece()
    elif kind in ("byte pairs", "bytes"):
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        size = len(special) + len(alphabet) + (11 if kind == "byte pairs" else 0)
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    elif kind == "characters":
        inner = Tokenizer(models.BPE(unk_token="<unk>"))
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=special, show_progress=False)
    else:
        inner = Tokenizer(models.Unigram())
        split = kind == "unigrams"
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(split=split), decoders.Metaspace(split=split)
        trainer = trainers.UnigramTrainer(
            vocab_size=100, special_tokens=special, unk_token="<unk>", show_progress=False, max_piece_length=16
        )
    inner.train_from_iterator(CORPUS, trainer)
    return str(inner.to_str())


def tokenizer_of(kind: str, shape: str, longest: int = LONGEST) -> Any:
    """A tokenizer.

    Args:
        kind: one of `KINDS`.
        shape: where the special tokens stand: "bert" (around a text, with a mask token), "t5" (at its end), "xlnet"
            (two at its end), "roberta" (as "bert", and two between texts), or "gpt" (nowhere, and no mask token).
        longest: the most tokens of a text.
    """
    inner = Tokenizer.from_str(_trained(kind))
    singles = {"bert": "<s> $A </s>", "t5": "$A </s>", "xlnet": "$A </s> <s>", "gpt": ""}
    singles["roberta"] = singles["bert"]
    pairs = {shape: single.replace("$A </s>", "$A </s> $B </s>") for shape, single in singles.items()}
    pairs["roberta"] = "<s> $A </s> </s> $B </s>"
    if singles[shape]:
        inner.post_processor = processors.TemplateProcessing(
            single=singles[shape], pair=pairs[shape], special_tokens=[("<s>", BOS), ("</s>", EOS)]
        )
    names: dict[str, Any] = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>", "bos_token": "<s>"}
    if shape in ("bert", "roberta", "xlnet"):
        names |= {"mask_token": "<mask>", "cls_token": "<s>", "sep_token": "</s>"}
    kinds = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=longest,
        model_input_names=kinds,
        clean_up_tokenization_spaces=False,
        **names,
    )
