"""Units are pieces of the text that a person reads, and tokens belong to them by their characters."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interp_core.attribution import attribute
from interp_core.errors import InputError, InterpWarning
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator
from interp_core.text import as_texts, clause_spans, divide, pool, sentence_spans, word_spans

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
    with pytest.raises(InputError, match="token, word, clause, sentence, paragraph, message, document, sample, cls"):
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


def test_a_clause_ends_at_each_mark_once() -> None:
    text = "so - sad, - and  \u2013 (but) why --- not -ever- a,b -"
    assert [text[a:b] for a, b in clause_spans(text)] == [
        "so -",
        "sad,",
        "- and  \u2013",
        "(but)",
        "why ---",
        "not -ever- a,b -",
    ]


@pytest.mark.parametrize("filling", [" ", "\n", ",", "-", " -", ", ", "\u2013 "])
def test_the_time_for_clauses_grows_with_the_length_of_a_text(filling: str) -> None:
    clause_spans("a" + filling * 100_000 + "b")  # minutes, if each mark looked at all that follows


LONG, SHORT = "sad rain dog cat " * 10, "so happy today"


def parts(truncation: str, first: str = LONG, second: str = SHORT) -> tuple[list[int], list[int]]:
    """The ids of both texts in a pair that was cut, as BERT's separators divide them."""
    ids = MODEL.encoder((first, second), truncation).ids.tolist()  # type: ignore[arg-type]
    middle = ids.index(MODEL.tokenizer.sep_token_id)
    return ids[1:middle], ids[middle + 1 : -1]


@pytest.mark.parametrize(
    ("truncation", "first", "second", "lengths"),
    [
        ("longest_first", LONG, SHORT, (26, 3)),
        ("longest_first", SHORT, LONG, (3, 26)),
        ("only_first", LONG, SHORT, (26, 3)),
        ("only_second", SHORT, LONG, (3, 26)),
    ],
)
def test_a_long_pair_is_cut_as_the_tokenizer_cuts_it(
    truncation: str, first: str, second: str, lengths: tuple[int, int]
) -> None:
    cut = parts(truncation, first, second)
    assert (len(cut[0]), len(cut[1])) == lengths
    tokenizer = tiny_classifier().tokenizer
    plain = tokenizer(first, second, truncation=truncation, max_length=32)["input_ids"]
    encoded = MODEL.encoder((first, second), truncation)  # type: ignore[arg-type]
    assert encoded.ids.tolist() == plain
    assert [encoded.text[a:b] for a, b in encoded.offsets[~encoded.special].tolist()] == [
        *first.split()[: lengths[0]],
        *second.split()[: lengths[1]],
    ]


def test_a_pair_whose_other_text_alone_is_too_long_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"truncation='only_second'.*truncation='longest_first'"):
        parts("only_second")


def test_a_prompt_has_no_token_types_and_ends_before_the_token_that_would_close_it() -> None:
    encoded = MODEL.encoder.prompt(("so happy", "so sad"))
    assert MODEL.encoder(("so happy", "so sad")).types is not None and encoded.types is None
    assert encoded.ids.tolist() == MODEL.encoder(("so happy", "so sad")).ids.tolist()[:-1]
    assert encoded.prompt == len(encoded) and encoded.special[0]


def test_a_generator_that_says_nothing_adds_no_text() -> None:
    encoded = tiny_generator().encoder.with_ids("so happy", [])
    assert encoded.text == "so happy" and encoded.prompt == len(encoded) == len(
        tiny_generator().encoder.prompt("so happy")
    )


def test_the_token_that_starts_a_decoder_covers_no_character() -> None:
    encoded = tiny_translator().encoder.prompt("so happy")
    assert encoded.ids[-1] == tiny_translator().encoder.start_id and encoded.special[-1]
    assert encoded.offsets[-1].tolist() == [0, 0] and encoded.source == len(encoded) - 1


def test_an_unknown_truncation_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="longest_first, only_first, only_second"):
        parts("first")


def test_results_record_a_truncation_that_is_not_the_default() -> None:
    pair = LONG, "so sad today " * 6
    with pytest.warns(InterpWarning, match="cut to 32 of 61"):
        results = [
            attribute(MODEL, [pair], by="occlusion", progress=False, **options)[0]  # type: ignore[arg-type]
            for options in ({}, {"truncation": "only_first"})
        ]
    assert [one.made_by.settings.get("truncation") for one in results] == [None, "only_first"]
    ids = [one.encoded.ids.tolist() for one in results]
    assert ids == [MODEL.encoder(pair, truncation).ids.tolist() for truncation in ("longest_first", "only_first")]
    assert ids[0] != ids[1]


def test_a_bare_tuple_of_two_strings_asks_what_is_meant() -> None:
    with pytest.raises(InputError, match=r"\[\(first, second\)\] for a pair, \[one, other\] for two texts"):
        as_texts(("so sad", "so happy"))
    assert as_texts(("a", "b", "c")) == ["a", "b", "c"]
    assert as_texts([("a", "b")]) == [("a", "b")]
