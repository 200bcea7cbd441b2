"""Units are pieces of the text that a person reads, and tokens belong to them by their characters."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interp_core.errors import InputError
from interp_core.testing import tiny_classifier
from interp_core.text import clause_spans, divide, pool, sentence_spans, word_spans

MODEL = tiny_classifier()


def pieces(text: str, granularity: object) -> list[str]:
    return [unit.text for unit in divide(MODEL.encoder(text), granularity).units]  # type: ignore[arg-type]


def test_words_keep_apostrophes_and_leave_punctuation_alone() -> None:
    spans = word_spans("I don't like it, e.g. 3.14!")
    assert [(a, b) for a, b in spans][:2] == [(0, 1), (2, 7)]
    assert ["I don't like it, e.g. 3.14!"[a:b] for a, b in spans] == [
        "I",
        "don't",
        "like",
        "it",
        ",",
        "e.g",
        ".",
        "3.14",
        "!",
    ]


def test_sentences_survive_abbreviations() -> None:
    text = "Dr. Smith left. He was sad."
    assert [text[a:b] for a, b in sentence_spans(text)] == ["Dr. Smith left.", "He was sad."]


def test_clauses_are_cut_at_commas_but_not_inside_numbers() -> None:
    text = "I paid 1,000, and left; it rained."
    assert [text[a:b] for a, b in clause_spans(text)] == ["I paid 1,000,", "and left;", "it rained."]


def test_sample_and_cls_are_the_whole_text() -> None:
    assert pieces(" i feel sad ", "sample") == ["i feel sad"] == pieces(" i feel sad ", "cls")


def test_spans_of_ones_own_are_units() -> None:
    assert pieces("i feel sad", lambda text: [(0, 6), (7, 10)]) == ["i feel", "sad"]


@pytest.mark.parametrize("spans", [[(3, 3)], [(0, 4), (2, 6)], [(0, 99)], [(4, 6), (0, 2)]])
def test_spans_that_do_not_fit_are_refused(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(InputError, match="span"):
        pieces("i feel sad", lambda text: spans)


def test_an_unknown_granularity_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="token, word, clause, sentence, turn, sample, cls"):
        pieces("i feel sad", "phrase")


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_text_is_divided_in_order_without_overlap(text: str) -> None:
    for divider in (word_spans, clause_spans, sentence_spans):
        spans = divider(text)
        assert all(a < b for a, b in spans)
        assert all(b <= c for (_, b), (c, _) in pairwise(spans))
        assert (
            "".join(text[a:b] for a, b in spans).split() == "".join(text.split()).split() or divider is not word_spans
        )
        assert not any(c.strip() for c in "".join(text[b:c] for (_, b), (c, _) in pairwise(spans)))


def test_every_token_that_is_not_special_has_a_unit(real_model) -> None:  # type: ignore[no-untyped-def]
    for name in ("emotion-tiny", "lm-tiny", "llama-tiny"):
        encoded = divide(real_model(name).encoder("The king's men, don't you know? They can't win 3.5 times."), "word")
        assert bool(((encoded.unit_of >= 0) | encoded.special).all()), name


def test_white_space_belongs_to_the_word_before_it(real_model) -> None:  # type: ignore[no-untyped-def]
    model = real_model("lm-tiny")
    encoded = divide(model.encoder("KING:\nI feel"), "word")
    newline = model.tokenizer.convert_ids_to_tokens(encoded.ids.tolist()).index("Ċ")
    assert encoded.units[int(encoded.unit_of[newline])].text == ":"


def test_pooling_is_the_mean_of_the_rows_of_a_unit() -> None:
    values = torch.tensor([[9.0], [1.0], [3.0], [5.0]])
    assert pool(values, torch.tensor([-1, 0, 0, 1]), 2).flatten().tolist() == [2.0, 5.0]


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    encoded = MODEL.encoder("sad " * 50)
    assert len(encoded) == 32 and encoded.cut == 20
    assert encoded.ids[-1] == MODEL.tokenizer.sep_token_id
