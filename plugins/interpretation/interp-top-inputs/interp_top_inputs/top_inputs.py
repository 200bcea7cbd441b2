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
    """Top inputs: the units of the corpus where each concept is most active, and the words that raise it.

    Examples are the units with the largest positive codes; a unit that occurs twice in one text is shown once. With
    `source="units"` the words are the distinct units in the order of their largest code, without the punctuation at
    their ends: "great," and "great" are one word, and a punctuation mark alone is none, unless rows are tokens. With
    `source="unique-words"` they are the words of the corpus with positive strength, strongest first:

    - Where rows are words (granularity `"word"` or `"token"`), the strength is the mean code over the occurrences of
      the word, less the mean over all rows, less two standard errors, in the units of the codes. Neither one lucky
      occurrence nor a large number of them puts a word first.
    - Where rows are whole texts or parts of them, the strength is how much more active the concept is in rows that hold
      the word than in the others, in standard errors. A word that occurs everywhere makes no difference. A note says so
      where the strongest word is no stronger than the strongest of 19 random orders of the rows, which holds for at
      least 19 of 20 concepts that have nothing to do with the words.

    Spaces with signed codes, such as those of PCA, ICA and SVD, have an opposite pole, where codes are most negative;
    `bottom` shows it. Codes that are never negative have none, since where they are smallest the concept is merely
    inactive; a note says so.

    The activations are encoded once, in batches, and no model is run. interpreto gives each word alone to the model,
    which tests the word out of context; for that use `split.activations(words, granularity="cls")` as the activations,
    with `source="units"`, or `"top-vocabulary"` for all tokens.

    Args:
        source: `"units"`, `"unique-words"`, or `"auto"`: units where rows are words or tokens, unique words where they
            are longer pieces of text.
        top: maximum number of examples and of words for each concept, at least 1.
        bottom: maximum number of units with the most negative codes that are shown as well, the most negative last,
            after the examples and, with `source="units"`, after the words; 0 for none. The label is made of the
            positive ones.
        min_count: minimum number of occurrences of a word in the corpus, at least 1; for `"unique-words"`.
        lemmatize: count the forms of one word together and show its most frequent form; for `"unique-words"`.
        ngram: count sequences of up to so many words too, such as "not bad"; at least 1. For `"unique-words"`.
        language: language of the lemmas, a two-letter code that simplemma knows.

    Raises:
        InputError: a parameter has another type or is out of range, or `source` is unknown.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world(texts=30)
        >>> found = interp.interpret(space, activations, by="top-inputs", top=3)
        >>> found.labels[0], found[0].examples[0].text
        ('today, rain, sun', 'i feel very rain and today')

    Source:
        By definition. The difference in standard errors is the two-sample z statistic with the variance of all rows;
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
        """Find the examples and words of every concept of the space.

        Returns:
            Examples, words and a label for each concept, with notes.

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
