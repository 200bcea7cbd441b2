"""Top vocabulary: exact against the model called by hand on each token, and tokens that are no text are left out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from interp_core.concepts import AffineSpace, interpret
from interp_core.errors import InputError, ModelError
from interp_core.model import SplitModel, TextModel
from interp_core.testing import contract_tests, state_of, tiny_classifier, tiny_generator, tiny_llama
from interp_top_inputs.top_vocabulary import TopVocabulary, _entries
from tokenizers.processors import TemplateProcessing
from torch import Tensor

test_contract = contract_tests("top-vocabulary")

TEXTS = ["so happy today", "the old cat was not sad", "warm rain and a cold night"]
CASES: dict[str, tuple[Callable[[], TextModel], str]] = {
    "bert cls": (tiny_classifier, "cls"),
    "bert word": (tiny_classifier, "word"),
    "gpt2 last": (tiny_generator, "last"),
    "llama last": (tiny_llama, "last"),
    "llama token": (tiny_llama, "token"),
}


def space_of(width: int, concepts: int = 3) -> AffineSpace:
    directions = torch.randn(concepts, width, generator=torch.Generator().manual_seed(0))
    return AffineSpace(directions, directions)


def by_hand(split: SplitModel, granularity: str, token: int) -> Tensor:
    """The row of a token alone, from the model and tokenizer of transformers."""
    model, tokenizer = split.model.model, split.model.tokenizer
    added = tokenizer("a")["input_ids"]
    (own,) = tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = [token if i == own else i for i in added]
    kept: list[Tensor] = []
    block = model.get_submodule(split.path)
    hook = block.register_forward_hook(lambda _m, _i, out: kept.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]))
    hook.remove()
    return kept[0].reshape(len(ids), -1)[0 if granularity == "cls" else added.index(own)]


@pytest.mark.parametrize("name", CASES)
def test_the_words_are_the_tokens_whose_rows_have_the_largest_codes(name: str) -> None:
    make, granularity = CASES[name]
    split = make().split(0)
    activations = split.activations(TEXTS, granularity=granularity, progress=False)
    space, entries = space_of(activations.width), _entries(split)
    codes = space.encode(torch.stack([by_hand(split, granularity, token) for token in entries]))
    before = state_of(split.model)
    found = interpret(space, activations, by=TopVocabulary(top=4, bottom=2), model=split)
    assert state_of(split.model) == before
    texts = [text.strip("␣") or text for text in entries.values()]
    for concept in found:
        best = {
            text: max(float(c) for c, t in zip(codes[:, concept.concept], texts, strict=True) if t == text)
            for text in texts
        }
        least = {
            text: min(float(c) for c, t in zip(codes[:, concept.concept], texts, strict=True) if t == text)
            for text in texts
        }
        high = [(t, c) for t, c in sorted(best.items(), key=lambda pair: -pair[1])[:4] if c > 0]
        low = [(t, c) for t, c in sorted(least.items(), key=lambda pair: -pair[1])[-2:] if c < 0]
        assert [word.strip("␣") or word for word, _ in concept.words] == [text for text, _ in high + low]
        assert [code for _, code in concept.words] == pytest.approx(
            [code for _, code in high + low], rel=1e-3, abs=1e-5
        )
        assert concept.label == (", ".join(text for text, _ in high) or None) and not concept.examples


def test_the_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    split = tiny_classifier().split(0)
    activations = split.activations(TEXTS, granularity="cls", progress=False)
    found = []
    for size in (512, 7):
        monkeypatch.setattr("interp_top_inputs.top_vocabulary.TEXTS_AT_A_TIME", size)
        found.append(interpret(space_of(activations.width), activations, by=TopVocabulary(), model=split))
    for one, other in zip(*found, strict=True):
        assert [word for word, _ in one.words] == [word for word, _ in other.words]


class Pieces:
    """A tokenizer of pieces with a blank written as sentencepiece does, of bytes, and of entries without embedding."""

    names = ("▁so", "so", "▁", "<0x0A>", "Ã", "[unused3]", "<s>", "<new>", "none", "##ing", "far")
    texts = ("so", "so", "", "\n", "\ufffd", "[unused3]", "<s>", "<new>", "", "##ing", "far")
    all_special_ids = (6,)
    added_tokens_decoder = {7: SimpleNamespace(special=True)}  # noqa: RUF012

    def get_vocab(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def decode(self, ids: list[int], **_: Any) -> str:
        return self.texts[ids[0]]


ENTRIES_OF = getattr(_entries, "__wrapped__", _entries)  # past the checks of types of these tests


def test_special_unused_and_partial_entries_are_not_read() -> None:
    model = SimpleNamespace(tokenizer=Pieces(), embeddings=SimpleNamespace(count=10), name="made")
    split: Any = SimpleNamespace(model=model)
    entries = ENTRIES_OF(split)
    assert entries == {0: "␣so", 1: "so", 2: "␣", 3: "⏎", 9: "##ing"}
    model.embeddings.count = 0
    with pytest.raises(InputError, match="no entries that are text"):
        ENTRIES_OF(split)


def test_what_is_left_out_is_counted_and_the_first_token_of_a_causal_model_is_named() -> None:
    plain = copy.deepcopy(tiny_generator().tokenizer)
    plain.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    bare = TextModel(tiny_generator().model, plain)
    for model, granularity, first in ((tiny_classifier(), "cls", 0), (tiny_generator(), "last", 0), (bare, "last", 1)):
        split = model.split(0)
        activations = split.activations(TEXTS, granularity=granularity, progress=False)
        found = interpret(space_of(activations.width), activations, by="top-vocabulary", model=split)
        read, whole = len(_entries(split)), len(split.model.tokenizer.get_vocab())
        special = len(set(split.model.tokenizer.all_special_ids))
        assert whole - read >= special > 0
        assert f"Each of {read} tokens" in found.notes[0] and found.notes[1].startswith(f"{whole - read} entries")
        assert sum("adds no token in front" in note for note in found.notes) == first


def test_a_concept_that_no_token_raises_has_no_label() -> None:
    split = tiny_classifier().split(0)
    activations = split.activations(TEXTS, granularity="cls", progress=False)
    low = AffineSpace(torch.ones(1, activations.width), torch.zeros(1, activations.width), bias=torch.tensor([-1.0]))
    with pytest.warns(match="none of 1 concepts"):
        found = interpret(low, activations, by="top-vocabulary", model=split)[0]
    assert found.label is None and found.words == () and found.note == "no token alone raises this concept."


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"top": 0}, {"bottom": -1}):
        with pytest.raises(InputError, match=r"must be at least 1, bottom=-?[01] at least 0"):
            TopVocabulary(**wrong)
    wrong_type = TopVocabulary()
    object.__setattr__(wrong_type, "top", "a")
    with pytest.raises(InputError, match="top is 'a'"):
        wrong_type.__post_init__()
    split = tiny_classifier().split(0)
    activations = split.activations(TEXTS, granularity="cls", progress=False)
    space = space_of(activations.width)
    with pytest.raises(InputError, match="asks the model"):
        interpret(space, activations, by="top-vocabulary")
    with torch.no_grad():
        split.model.model.get_input_embeddings().weight[next(iter(_entries(split)))] = torch.inf
    with pytest.raises(ModelError, match="holds NaN or infinity for a token alone"):
        interpret(space, activations, by="top-vocabulary", model=split)


@pytest.mark.real
def test_tokens_of_a_real_classifier_speak_for_its_classes(real_model: Callable[[str], Any]) -> None:
    model = real_model("emotion-tiny")
    split, words = model.split(-1), {"joy": "happy", "sadness": "sad", "anger": "angry"}
    activations = split.activations([f"i feel {word}" for word in words.values()], granularity="cls", progress=False)
    rows = activations.matrix() - activations.matrix().mean(0)
    found = interpret(
        AffineSpace(rows, rows, mean=activations.matrix().mean(0)), activations, by=TopVocabulary(top=400), model=split
    )
    for concept, word in zip(found, words.values(), strict=True):
        assert word in dict(concept.words), f"{word} is not among {concept.label}"
