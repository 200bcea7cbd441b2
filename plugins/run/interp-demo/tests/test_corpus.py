"""The corpus is what its description says, and the model scores what its folder states."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

PACKAGE = Path(__file__).resolve().parent.parent / "interp_demo"
MODEL = PACKAGE / "emotion-demo"
LABELS = {"sadness", "joy", "love", "anger", "fear", "surprise"}
FIRST_PERSON = {"i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Return the rows of the corpus."""
    with (PACKAGE / "corpus.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(text: str) -> list[str]:
    """Return the lower-case words of a sentence, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower())


def near_copies(sentences: list[list[str]]) -> list[tuple[str, ...]]:
    """Return the patterns, one word replaced or left out, that two of the sentences share.

    Two sentences alike but for one replaced word share the pattern with a gap in its place; a sentence that another
    exceeds by one word equals the other's pattern without that word.
    """
    counts = Counter(tuple(sentence) for sentence in sentences)
    for sentence in sentences:
        gaps = {(*sentence[:place], "*", *sentence[place + 1 :]) for place in range(len(sentence))}
        shorter = {(*sentence[:place], *sentence[place + 1 :]) for place in range(len(sentence))}
        counts.update(gaps | shorter)
    whole = {tuple(sentence) for sentence in sentences}
    return [pattern for pattern, count in counts.items() if count > 1 and ("*" in pattern or pattern in whole)]


def test_the_corpus_has_at_least_six_hundred_sentences(rows: list[dict[str, str]]) -> None:
    assert len(rows) >= 600


def test_the_corpus_has_six_labels_of_at_least_a_hundred_and_fifty_sentences_each(rows: list[dict[str, str]]) -> None:
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == LABELS
    assert min(counts.values()) >= 150


def test_no_two_sentences_are_alike_but_for_one_word(rows: list[dict[str, str]]) -> None:
    assert near_copies([words(row["text"]) for row in rows]) == []


@pytest.mark.parametrize("second", ["I fed my old cat", "I fed my old dog", "I fed my dog", "I fed my big old dog"])
def test_the_search_for_near_copies_finds_a_word_replaced_added_or_left_out(second: str) -> None:
    assert near_copies([words("I fed my old dog."), words(second)])


def test_the_search_for_near_copies_passes_sentences_that_differ_in_two_words() -> None:
    assert near_copies([words("I fed my old dog."), words("I fed our old cat.")]) == []


def test_every_sentence_is_in_the_first_person(rows: list[dict[str, str]]) -> None:
    assert [row["text"] for row in rows if not FIRST_PERSON & set(words(row["text"]))] == []


def test_every_sentence_has_six_to_eighteen_words(rows: list[dict[str, str]]) -> None:
    assert [row["text"] for row in rows if not 6 <= len(row["text"].split()) <= 18] == []


def test_each_label_has_four_words_of_its_own_that_occur_twenty_times(rows: list[dict[str, str]]) -> None:
    everywhere = Counter(word for row in rows for word in words(row["text"]))
    for label in LABELS:
        here = Counter(word for row in rows if row["label"] == label for word in words(row["text"]))
        own = [word for word, count in here.items() if everywhere[word] >= 20 and count >= 0.75 * everywhere[word]]
        assert len(own) >= 4, label


def test_the_model_scores_on_the_held_out_rows_what_its_folder_states(rows: list[dict[str, str]]) -> None:
    stated = json.loads((MODEL / "held_out.json").read_text(encoding="utf-8"))
    held_out = [rows[index] for index in stated["indices"]]
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32).eval()
    batch = tokenizer([row["text"] for row in held_out], padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        predicted = model(**batch).logits.argmax(dim=-1).tolist()
    labels = [model.config.id2label[number] for number in predicted]
    accuracy = sum(label == row["label"] for label, row in zip(labels, held_out, strict=True)) / len(held_out)
    assert len(held_out) == len(set(stated["indices"])) == stated["rows"]
    assert accuracy == pytest.approx(stated["accuracy"], abs=0.005)
    assert accuracy >= 0.85


def test_the_model_folder_is_under_six_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < 6_000_000
