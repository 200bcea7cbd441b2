"""Top inputs: exact against matrices made by hand, and words that neither luck nor frequency can make lead."""

from __future__ import annotations

import math
import re
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace, Example, Interpretation, interpret
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests
from interp_core.text import Unit, word_spans
from interp_top_inputs.top_inputs import TopInputs, _keys
from interp_top_inputs.words import occurrences
from jaxtyping import Float
from torch import Tensor

test_contract = contract_tests("top-inputs")


class Given(ConceptSpace):
    """Rows are their own codes."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return values


def shown(values: Tensor, activations: Activations, **parameters: object) -> Interpretation:
    return interpret(Given(torch.eye(values.shape[1])), activations, by=TopInputs(**parameters))


def of_texts(values: list[list[float]], texts: list[str], **parameters: object) -> Interpretation:
    rows = torch.tensor(values)
    return shown(rows, of_rows(rows, texts), **parameters)


def of_words(values: Tensor, texts: list[str], granularity: str = "word") -> Activations:
    """A row for each word (or mark) of each text."""
    units = tuple(tuple(Unit(text[a:b], a, b) for a, b in word_spans(text)) for text in texts)
    places = [(t, u) for t, row in enumerate(units) for u in range(len(row))]
    text_of, unit_of = torch.tensor(places).T
    return Activations(values, text_of, unit_of, tuple(texts), units, "given", granularity, MadeBy("given"))


HAND = torch.tensor([[0.125, 5.0], [3.0, -1.0], [2.0, -2.0], [0.0, -3.0]])  # "a cat", "cat ."


def test_examples_are_the_rows_of_largest_activation_with_their_characters() -> None:
    found = shown(HAND, of_words(HAND, ["a cat", "cat ."]), top=3)
    assert found[0].examples == (
        Example("a cat", 2, 5, 3.0),
        Example("cat .", 0, 3, 2.0),
        Example("a cat", 0, 1, 0.125),
    )


def test_activations_below_zero_are_not_active() -> None:
    assert shown(HAND, of_words(HAND, ["a cat", "cat ."]), top=9)[1].examples == (Example("a cat", 0, 1, 5.0),)


def test_words_of_units_are_distinct_and_ranked_by_their_largest_activation() -> None:
    found = shown(HAND, of_words(HAND, ["a cat", "cat ."]), top=5)[0]
    assert found.words == (("cat", 3.0), ("a", 0.125)) and found.label == "cat, a"


def test_a_unit_that_is_twice_in_one_text_is_one_example() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0]])
    assert [e.start for e in shown(values, of_words(values, ["so and so"]), top=3)[0].examples] == [0, 3]


def test_a_unit_that_is_in_two_equal_texts_is_one_example_and_in_two_others_is_two() -> None:
    values = torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    found = shown(values, of_words(values, ["so it", "so", "so"]), top=9)[0]
    assert [(e.text, e.value) for e in found.examples] == [("so it", 4.0), ("so it", 3.0), ("so", 2.0)]
    assert found.words == (("so", 4.0), ("it", 3.0))


class Stored(Sequence[Any]):
    """Made anew each time it is asked for, as by a store, and counts how often."""

    def __init__(self, make: Callable[[int], Any], size: int) -> None:
        self.make, self.size, self.asked = make, size, 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: Any) -> Any:
        if i >= self.size:
            raise IndexError(i)
        self.asked += 1
        return self.make(i)


@pytest.mark.parametrize("long_units", [False, True])
def test_texts_and_units_of_a_store_are_read_once_and_not_kept(long_units: bool) -> None:
    def text(i: int) -> str:
        return f"{i} " * 2000

    def units(i: int) -> tuple[Unit, ...]:
        return tuple(Unit(text(i) if long_units else "unit", 0, 4) for _ in range(3))

    texts, pieces = Stored(text, 300), Stored(units, 300)
    row = torch.arange(900)
    activations = Activations(torch.zeros(900, 1), row // 3, row % 3, texts, pieces, "given", "word", MadeBy("given"))
    texts.asked = pieces.asked = 0
    whole = 300 * len(text(100))
    tracemalloc.start()
    within, anywhere, marks = _keys(activations)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 4 and max(texts.asked, pieces.asked) < 310  # checks of types look at some again
    assert not marks.any() and len(within.unique()) == 300 and len(anywhere.unique()) == (300 if long_units else 1)


def test_the_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    activations = of_words(values, ["a b c d e"] * 4 + ["b a f g h"] * 4)
    for source in ("units", "unique-words"):
        whole = shown(values, activations, source=source, top=4).concepts
        for size in (3, 7, 21):
            monkeypatch.setattr("interp_top_inputs.top_inputs.ENTRIES", size)
            assert shown(values, activations, source=source, top=4).concepts == whole


def test_a_concept_that_nothing_raises_has_no_label() -> None:
    found = of_texts([[-1.0, 1.0], [-2.0, 0.0]], ["one", "two"])[0]
    assert found.label is None and found.words == () and found.examples == () and "no word or unit" in found.note


def test_words_are_found_in_lower_case_and_shown_as_most_often_written() -> None:
    activations = of_rows(torch.zeros(3, 1), ["It's The END, 2020 !", "the end of 3d", "the x"])
    found = occurrences(activations, 1, str.lower)
    assert found.words == ("3d", "END", "It's", "of", "the", "x") or found.words == (
        "3d",
        "END",
        "It's",
        "of",
        "The",
        "x",
    )
    assert occurrences(activations, 2, str.lower).words in (("END", "the"), ("END", "The"))
    pairs = list(zip(found.row.tolist(), [found.words[i].lower() for i in found.word.tolist()], strict=True))
    assert sorted(pairs) == sorted(
        [(0, "it's"), (0, "the"), (0, "end"), (1, "the"), (1, "end"), (1, "of"), (1, "3d"), (2, "the"), (2, "x")]
    )


def test_pieces_of_a_word_count_for_the_whole_word() -> None:
    units = ((Unit("walk", 0, 4), Unit("ing", 4, 7), Unit("on", 8, 10)),)
    values = torch.tensor([[9.0], [9.0], [0.0]])
    activations = Activations(
        values,
        torch.zeros(3, dtype=torch.long),
        torch.arange(3),
        ("walking on",),
        units,
        "given",
        "token",
        MadeBy("given"),
    )
    found = occurrences(activations, 1, str.lower)
    assert [found.words[i] for i in found.word.tolist()] == ["walking", "walking", "on"]


def test_a_mark_that_touches_a_word_is_not_the_word() -> None:
    found = occurrences(of_words(torch.zeros(4, 1), ["(cat) dog"]), 1, str.lower)
    assert found.row.tolist() == [1, 3]


def test_the_strength_of_a_word_in_texts_is_a_difference_in_standard_errors() -> None:
    values, texts = [[4.0], [6.0], [1.0], [1.0], [0.0]], ["cat", "cat sat", "dog", "mat", "hat"]
    spread = torch.tensor(values).double().std(correction=0)
    expected = float((5 - 2 / 3) / (spread * math.sqrt(1 / 2 + 1 / 3)))
    assert dict(of_texts(values, texts, source="unique-words")[0].words)["cat"] == pytest.approx(expected, rel=1e-6)


def test_the_strength_of_a_word_among_words_is_its_mean_less_two_standard_errors() -> None:
    values = torch.tensor([[3.0], [0.0], [5.0], [0.0], [4.0], [0.0]])
    activations = of_words(values, ["cat a", "cat a", "cat a"])
    variance = ((1 + 1 + 0) + float(values.double().var(correction=0))) / 4
    expected = 4 - 2 - 2 * math.sqrt(variance / 3)
    assert shown(values, activations, source="unique-words")[0].words == (("cat", pytest.approx(expected, rel=1e-6)),)


def planted(by_word: bool) -> tuple[Tensor, Activations]:
    """300 texts of filler; concept j rises with its word. `uh` is in nearly every text, rare words in one."""
    g = torch.Generator().manual_seed(0)
    topics = torch.randint(4, (300,), generator=g).tolist()
    texts = [
        f"{'uh ' if i % 50 else ''}uh topic{'abcd'[t]} rare{chr(97 + i % 26)}{'xyzwvutsrqpo'[i // 26]}"
        for i, t in enumerate(topics)
    ]
    plain = (
        of_words(torch.zeros(sum(len(word_spans(t)) for t in texts), 4), texts)
        if by_word
        else of_rows(torch.zeros(300, 4), texts)
    )
    values = torch.randn(len(plain), 4, generator=g).abs()
    for row in range(len(plain)):
        topic = topics[int(plain.text_of[row])]
        if plain.unit(row).text.startswith("topic") or not by_word:
            values[row, topic] += 2
    return values, of_words(values, texts) if by_word else of_rows(values, texts)


@pytest.mark.parametrize("by_word", [False, True])
def test_the_word_of_the_topic_leads_and_filler_does_not(by_word: bool) -> None:
    values, activations = planted(by_word)
    found = shown(values, activations, source="unique-words", top=3)
    assert [c.words[0][0] for c in found.concepts] == ["topica", "topicb", "topicc", "topicd"]
    assert not any("uh" in dict(c.words) for c in found.concepts)


def test_words_within_chance_are_said_to_be() -> None:
    g = torch.Generator().manual_seed(1)
    texts = [" ".join("abcdefghij"[i] for i in torch.randperm(10, generator=g)[:5].tolist()) for _ in range(200)]
    noise = torch.randn(200, 1, generator=g)
    assert "chance alone" in shown(noise, of_rows(noise, texts), source="unique-words")[0].note
    signal = torch.tensor([[float("a" in text)] for text in texts]) + 0.1 * noise
    assert shown(signal, of_rows(signal, texts), source="unique-words")[0].note == ""


def test_forms_of_one_lemma_count_together() -> None:
    texts = ["loved cat", "loves dog", "love", "love", "tree", "sky"]
    values = [[1.0], [1.0], [1.0], [1.0], [0.0], [0.0]]
    found = of_texts(values, texts, source="unique-words", min_count=4, lemmatize=True)[0]
    assert [word for word, _ in found.words] == ["love"]
    with pytest.raises(InputError, match="none of the words of 6 texts occurs 4 times"):
        of_texts(values, texts, source="unique-words", min_count=4)


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"top": 0}, {"min_count": 0}, {"bottom": -1}):
        (said,) = (f"{name}={value}" for name, value in wrong.items())
        with pytest.raises(InputError, match=said):
            TopInputs(**wrong)
    with pytest.raises(InputError, match="source 'word' is unknown"):
        TopInputs(source="word")
    for name, value in {"top": "a", "bottom": 1.5, "source": 3, "lemmatize": "yes", "language": None}.items():
        wrong_type = TopInputs()
        object.__setattr__(wrong_type, name, value)  # past the checks of types of these tests
        with pytest.raises(InputError, match=f"{name} is {value!r}"):
            wrong_type.__post_init__()
    with pytest.raises(InputError, match="no lemmas for language 'xx'"):
        of_texts([[1.0]], ["one"], source="unique-words", lemmatize=True, language="xx")


class Undefined(ConceptSpace):
    """The code of the last concept is no number in one row."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return torch.where(values == 7, values / 0, values)


@pytest.mark.parametrize("source", ["units", "unique-words"])
@pytest.mark.parametrize("bottom", [0, 1])
@pytest.mark.parametrize("granularity", ["word", "sample"])
def test_codes_that_are_no_numbers_are_refused(source: str, bottom: int, granularity: str) -> None:
    activations = of_words(torch.tensor([[1.0, 2.0], [3.0, 7.0]]), ["a cat"], granularity)
    with pytest.raises(InputError, match="the code of concept 1 in row 1 is inf, not a finite number"):
        interpret(Undefined(torch.eye(2)), activations, by="top-inputs", source=source, bottom=bottom)


@pytest.mark.parametrize("source", ["units", "unique-words"])
def test_the_opposite_pole_is_shown_where_codes_are_signed(source: str) -> None:
    found = shown(HAND, of_words(HAND, ["a cat", "cat ."]), top=1, bottom=2, source=source)
    assert found[1].examples == (
        Example("a cat", 0, 1, 5.0),
        Example("cat .", 0, 3, -2.0),
        Example("cat .", 4, 5, -3.0),
    )
    assert found[1].label == "a" and not found[1].note
    positive, most = (Example("a cat", 2, 5, 3.0),), "no code is below 0: its least active units are merely inactive"
    assert found[0].examples == positive and most in found[0].note
    assert most not in shown(HAND, of_words(HAND, ["a cat", "cat ."]), source=source)[0].note
    if source == "units":
        assert found[1].words == (("a", 5.0), ("cat", -2.0))  # the mark is no word


def test_a_concept_below_zero_alone_has_examples_of_its_pole_and_no_label() -> None:
    with pytest.warns(match="none of 1 concepts"):
        found = of_texts([[-1.0], [-2.0], [-1.0]], ["one", "two", "one"], source="units", bottom=5)[0]
    assert [(e.text, e.value) for e in found.examples] == [("one", -1.0), ("two", -2.0)]
    assert found.label is None and found.words == (("one", -1.0), ("two", -2.0)) and "no word or unit" in found.note


def of_spans(values: list[float], text: str, granularity: str) -> Activations:
    """A row for each piece between white space."""
    units = (tuple(Unit(m[0], m.start(), m.end()) for m in re.finditer(r"\S+", text)),)
    row = torch.arange(len(values))
    return Activations(torch.tensor(values)[:, None], row * 0, row, (text,), units, "given", granularity, MadeBy("x"))


@pytest.mark.parametrize("granularity", ["word", "spans", "clause"])
def test_a_word_before_a_mark_is_the_word_and_a_mark_is_none(granularity: str) -> None:
    text, values = "great, “great” don't ! -- 5% 😀 great", [3.0, 4.0, 2.0, 9.0, 8.0, 1.5, 1.0, 2.5]
    activations = of_spans(values, text, granularity)
    words = shown(activations.values, activations, source="units", top=9)[0].words
    assert words == (("great", 4.0), ("don't", 2.0), ("5", 1.5), ("😀", 1.0))


def test_marks_are_words_where_units_are_tokens_and_blanks_are_no_part_of_them() -> None:
    units = (Unit("great", 0, 5), Unit(" great", 5, 11), Unit("!", 11, 12))
    values, row = torch.tensor([[1.0], [2.0], [3.0]]), torch.arange(3)
    activations = Activations(values, row * 0, row, ("great great!",), (units,), "given", "token", MadeBy("given"))
    assert shown(values, activations)[0].words == (("!", 3.0), ("great", 2.0))


def test_a_concept_of_marks_alone_says_so_and_keeps_its_examples() -> None:
    activations = of_spans([0.0, 2.0], "so !", "word")
    with pytest.warns(match="none of 1 concepts"):
        found = shown(activations.values, activations)[0]
    assert found.label is None and [e.start for e in found.examples] == [3] and "granularity='token'" in found.note


def test_marks_that_touch_letters_are_no_part_of_words_of_the_corpus() -> None:
    found = occurrences(of_rows(torch.zeros(2, 1), ["_great_ 'tis", "great, don't"]), 1, str.lower, longest=2)
    assert set(found.words) == {"great", "tis", "don't"}


CONCEPTS, ROWS = 200, 240


def unrelated(share: float, generator: torch.Generator) -> Float[Tensor, "n c"]:
    active = torch.rand(ROWS, CONCEPTS, generator=generator) < share
    values = torch.randn(ROWS, CONCEPTS, generator=generator)
    return values if share == 1 else values.abs() * active


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 1.0])
def test_at_most_one_of_twenty_unrelated_concepts_is_without_the_note_on_chance(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    draws = torch.multinomial((1 / torch.arange(1, 400)).expand(ROWS, -1), 8, generator=generator)
    texts = [
        " ".join(f"w{'abcdefghij'[i // 40]}{chr(97 + i // 2 % 20)}{i % 2 * 'x'}" for i in row) for row in draws.tolist()
    ]
    values = unrelated(share, generator)
    found = shown(values, of_rows(values, texts), source="unique-words", top=1)
    without = sum("chance alone" not in concept.note and bool(concept.words) for concept in found)
    assert without <= 18  # of a binomial distribution, of 200 at 1 in 20, more are once in two hundred times
    assert without >= 3 or share < 0.5  # ties of sparse codes count as chance
    planted = torch.tensor([[float("waa" in text.split())] for text in texts])
    both = values[:, :1] + 4 * planted * (torch.rand(ROWS, 1, generator=generator) < 0.9)
    (concept,) = shown(both, of_rows(both, texts), source="unique-words")
    assert concept.words[0][0] == "waa" and not concept.note


def test_sequences_of_words_are_counted_too_and_end_at_punctuation() -> None:
    texts = ["it is not bad", "Not  bad at all", "bad, not good", "it is bad", "good", "not so good"]
    activations = of_rows(torch.tensor([[2.0], [2.0], [0.0], [0.0], [0.5], [0.5]]), texts)
    found = occurrences(activations, 1, str.lower, longest=3)
    rows = {name.lower(): [] for name in found.words}
    for row, word in zip(found.row.tolist(), found.word.tolist(), strict=True):
        rows[found.words[word].lower()].append(row)
    assert rows["not bad"] == [0, 1] and rows["bad"] == [0, 1, 2, 3] and rows["is not bad"] == [0]
    assert "bad not" not in rows and "bad not good" not in rows and "it is not bad" not in rows
    values = [[2.0], [2.0], [0.0], [0.0], [0.5], [0.5]]
    best = of_texts(values, texts, source="unique-words", top=1, ngram=2)
    assert best[0].words[0][0].lower() == "not bad"
    with pytest.raises(InputError, match="ngram=0"):
        TopInputs(ngram=0)
