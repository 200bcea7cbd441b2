"""What a concept is about, by the inputs where it is most active and the words that raise it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Example, Interpretation, LabelledConcept, numbered
from interp_core.errors import InputError, unknown
from interp_core.plugin import check_fields
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_top_inputs.poles import Poles, joined, without
from interp_top_inputs.ranking import ORDERS, ActiveCodes, Tally
from interp_top_inputs.words import occurrences, without_marks

ENTRIES = 2**22  # codes held at a time
SOURCES = ("auto", "units", "unique-words")
WORD_ROWS = ("word", "token")  # granularities whose rows are words or parts of one
NO_WORDS = "no word or unit raises this concept."
MARKS = "its strongest units are punctuation, which counts as words with granularity='token' alone."

Word = tuple[str, float]


@dataclass(frozen=True)
class TopInputs:
    """Shows each concept's most active units, and the words that speak for it.

    Examples are the units with the largest activations above zero; a unit text that comes twice in one text is shown
    once. Words with `source="units"` are the distinct unit texts in the order of their largest activation, without the
    punctuation at their ends: "great," and "great" are one word, and a mark alone is none. Where rows are tokens, marks
    count. With `source="unique-words"` they are words of the corpus, strongest first, only those of positive strength:

    - where rows are words (granularity `"word"` or `"token"`), the strength is the mean activation over the word's
      occurrences, less the mean of all rows, less two standard errors: neither one lucky occurrence nor a great number
      of them makes a word lead;
    - where rows are whole texts or parts of them, it is how much more active the concept is in rows that hold the word
    than in the others, in standard errors: a word that is everywhere makes no difference and leads nowhere. A note says
    so when even the strongest word is no stronger than the strongest of 19 random orders of the rows, as is the case
    for at least 19 of 20 concepts that have nothing to do with the words.

    Concepts of spaces with signed codes, such as those of PCA, ICA and SVD, have an opposite pole, where their codes
    are most negative: `bottom` shows it. Codes that are never negative have none, since where they are smallest the
    concept is merely inactive; a note says so.

    interpreto feeds each word alone to the model. That asks what the model makes of a word out of context; for it, give
    `split.activations(words, granularity="cls")` as the activations, with `source="units"`, or interpret by
    `"top-vocabulary"` for all tokens.

    Args:
        source: `"units"`, `"unique-words"`, or `"auto"`: units where rows are words or tokens, unique words where they
            are longer pieces of text.
        top: examples and words for each concept, at most.
        bottom: units with the most negative codes that are shown as well, the most negative last, at most; after the
            examples and, with `source="units"`, after the words. The label is made of the positive ones.
        min_count: how often a word occurs in the corpus at least; for `"unique-words"`.
        lemmatize: count the forms of one word together; its most frequent form is shown. For `"unique-words"`.
        ngram: count sequences of up to so many words too, such as "not bad". For `"unique-words"`.
        language: of the lemmas, a two-letter code that simplemma knows.

    Raises:
        InputError: a parameter has another type, is out of range, or `source` is unknown.

    Source: definition. The difference in standard errors is the two-sample z statistic with the variance of all rows;
    the note is a permutation test of its maximum (Westfall and Young 1993, "Resampling-Based Multiple Testing").
    """

    source: str = "auto"
    top: int = 5
    min_count: int = 1
    lemmatize: bool = False
    ngram: int = 1
    language: str = "en"
    bottom: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.source not in SOURCES:
            raise InputError(unknown("source", self.source, SOURCES))
        if min(self.top, self.min_count, self.ngram) < 1 or self.bottom < 0:
            raise InputError(
                f"top={self.top}, min_count={self.min_count}, ngram={self.ngram}, bottom={self.bottom}: the first "
                "three must be at least 1, bottom at least 0."
            )

    def interpret(self, space: ConceptSpace, activations: Activations) -> Interpretation:
        """Examples and words for every concept of the space.

        Raises:
            InputError: no word occurs often enough, there are no lemmas for the language, or a code is not a finite
                number.
        """
        texts, units, marks = _keys(activations)
        examples, words = Poles(self.top, self.bottom), Poles(self.top, self.bottom)
        by_word = activations.granularity in WORD_ROWS
        counted = self.source == "unique-words" or (self.source == "auto" and not by_word)
        tally, active = self._tally(space, activations) if counted else None, ActiveCodes()
        size = max(1, ENTRIES // space.concepts)
        with torch.no_grad():
            for first, part in zip(range(0, len(activations), size), activations.batches(size), strict=True):
                codes, rows = space.encode(part).float().cpu(), slice(first, first + size)
                examples.add(codes, first, texts[rows])
                if tally is None:
                    words.add(without(codes, marks[rows]), first, units[rows])
                    continue
                tally.add(codes, first)
                if not by_word:
                    active.add(codes)
        shown = [[Example.at(activations, *entry) for entry in both] for both in examples.both]
        if tally is None:
            said = [[(_word(activations, row), value) for row, value in both] for both in words.both]
            notes = [
                NO_WORDS if not ranked else "" if high else MARKS
                for ranked, high in zip(examples.high, words.high, strict=True)
            ]
        else:
            ranked = self._ranked(tally.lift() if by_word else tally.contrast(), tally.found.words)
            said = [words if high else [] for words, high in zip(ranked, examples.high, strict=True)]
            chance = None if by_word else tally.chance(active).tolist()
            notes = [_chance_note(words, chance[i] if chance else 0) for i, words in enumerate(said)]
        parts = enumerate(zip(said, shown, map(joined, notes, examples.notes), strict=True))
        return Interpretation(tuple(_labelled(i, *part) for i, part in parts))

    def _tally(self, space: ConceptSpace, activations: Activations) -> Tally:
        found = occurrences(activations, self.min_count, self._key(), self.ngram)
        if not found.words:
            raise InputError(
                f"none of the words of {len(activations.texts)} texts occurs {self.min_count} times; lower min_count."
            )
        return Tally(found, space.concepts)

    def _key(self) -> Callable[[str], str]:
        """From a word to what it is counted as."""
        if not self.lemmatize:
            return str.lower
        from simplemma import lemmatize

        try:
            lemmatize("word", lang=self.language)
        except ValueError as error:
            raise InputError(f"there are no lemmas for language {self.language!r}: {error}") from error
        return cache(lambda word: lemmatize(word, lang=self.language).lower())

    def _ranked(self, strength: Float[Tensor, "w c"], words: Sequence[str]) -> list[list[Word]]:
        best = strength.topk(min(self.top, len(words)), dim=0)
        columns = zip(best.values.T.tolist(), best.indices.T.tolist(), strict=True)
        return [[(words[i], value) for value, i in zip(*column, strict=True) if value > 0] for column in columns]


def _keys(activations: Activations) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Numbers that are equal for the same word in the same text, and for the same word anywhere; which are no words."""
    marks = bytearray()

    def names() -> Iterator[str]:
        for text in _unit_texts(activations):
            word = _as_word(text, activations.granularity)
            marks.append(not word)
            yield word or text

    units = numbered(names())
    within = numbered(activations.texts)[activations.text_of] * len(units) + units
    return within, units, torch.frombuffer(marks, dtype=torch.bool)


def _unit_texts(activations: Activations) -> Iterator[str]:
    """The text of the unit of each row; of a store the units of each text are read once."""
    places = zip(activations.text_of.numpy(), activations.unit_of.numpy(), strict=True)
    for text, rows in groupby(places, itemgetter(0)):
        units = activations.units[int(text)]
        yield from (units[int(unit)].text for _, unit in rows)


def _as_word(text: str, granularity: str) -> str:
    """The text of a unit without the marks at its ends, which are words themselves only where units are tokens."""
    if granularity == "token":
        return text.strip() or text
    start, stop = without_marks(text, 0, len(text))
    blank = text[: len(text) - len(text.lstrip())]  # the one before the word, which some units hold
    return blank + text[start:stop] if start < stop else ""


def _word(activations: Activations, row: int) -> str:
    return _as_word(activations.unit(row).text, activations.granularity)


def _chance_note(words: Sequence[Word], chance: float) -> str:
    if not words:
        return NO_WORDS
    if words[0][1] > chance:
        return ""
    return (
        f"its strongest word is {words[0][1]:.1f} standard errors up; chance alone gives up to {chance:.1f}, in "
        f"{ORDERS} random orders of the rows."
    )


def _labelled(concept: int, words: Sequence[Word], examples: Sequence[Example], note: str) -> LabelledConcept:
    label = ", ".join(word for word, strength in words if strength > 0) or None
    return LabelledConcept(concept, label, tuple(words), tuple(examples), note=note)
