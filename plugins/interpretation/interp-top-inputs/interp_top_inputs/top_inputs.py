"""What a concept is about, by the inputs where it is most active and the words that raise it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Example, Interpretation, LabelledConcept, Strongest, numbered, with_rows
from interp_core.errors import InputError, unknown
from jaxtyping import Float, Int
from torch import Tensor

from interp_top_inputs.ranking import Tally, chance_level
from interp_top_inputs.words import occurrences

ENTRIES = 2**22  # codes held at a time
SOURCES = ("auto", "units", "unique-words")
WORD_ROWS = ("word", "token")  # granularities whose rows are words or parts of one

Word = tuple[str, float]


@dataclass(frozen=True)
class TopInputs:
    """Shows each concept's most active units, and the words that speak for it.

    Examples are the units with the largest activations above zero; a unit text that comes twice in one text is shown
    once. Words with `source="units"` are the distinct unit texts in the order of their largest activation. With
    `source="unique-words"` they are words of the corpus, strongest first, only those of positive strength:

    - where rows are words (granularity `"word"` or `"token"`), the strength is the mean activation over the word's
      occurrences, less the mean of all rows, less two standard errors: neither one lucky occurrence nor a great number
      of them makes a word lead;
    - where rows are whole texts or parts of them, it is how much more active the concept is in rows that hold the word
    than in the others, in standard errors: a word that is everywhere makes no difference and leads nowhere. When even
    the strongest word is within what chance gives, the note says so.

    interpreto feeds each word alone to the model. That asks what the model makes of a word out of context; for it, give
    `split.activations(words, granularity="cls")` as the activations, with `source="units"`.

    Args:
        source: `"units"`, `"unique-words"`, or `"auto"`: units where rows are words or tokens, unique words where they
            are longer pieces of text.
        top: examples and words for each concept, at most.
        min_count: how often a word occurs in the corpus at least; for `"unique-words"`.
        lemmatize: count the forms of one word together; its most frequent form is shown. For `"unique-words"`.
        ngram: count sequences of up to so many words too, such as "not bad". For `"unique-words"`.
        language: of the lemmas, a two-letter code that simplemma knows.

    Source: definition. The difference in standard errors is the two-sample z statistic with the variance of all rows.
    """

    source: str = "auto"
    top: int = 5
    min_count: int = 1
    lemmatize: bool = False
    ngram: int = 1
    language: str = "en"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise InputError(unknown("source", self.source, SOURCES))
        if min(self.top, self.min_count, self.ngram) < 1:
            raise InputError(f"top={self.top}, min_count={self.min_count}, ngram={self.ngram}: all must be at least 1.")

    def interpret(self, space: ConceptSpace, activations: Activations) -> Interpretation:
        """Examples and words for every concept of the space.

        Raises:
            InputError: no word occurs often enough, or there are no lemmas for the language.
        """
        texts, units = _keys(activations)
        examples: Strongest | None = None
        words: Strongest | None = None
        by_word = activations.granularity in WORD_ROWS
        counted = self.source == "unique-words" or (self.source == "auto" and not by_word)
        tally = self._tally(space, activations) if counted else None
        size = max(1, ENTRIES // space.concepts)
        with torch.no_grad():
            for first, part in zip(range(0, len(activations), size), activations.batches(size), strict=True):
                codes = space.encode(part).float().cpu()
                examples = with_rows(examples, codes, first, texts[first : first + size], self.top)
                if tally is not None:
                    tally.add(codes, first)
                else:
                    words = with_rows(words, codes, first, units[first : first + size], self.top)
        assert examples is not None
        shown = _examples(examples, activations)
        if tally is None:
            assert words is not None
            return _interpretation(shown, _unit_words(words, activations), None)
        ranked = self._ranked(tally.lift() if by_word else tally.contrast(), tally.found.words)
        ranked = [
            words if active else [] for words, active in zip(ranked, shown, strict=True)
        ]  # never active: no words
        return _interpretation(shown, ranked, None if by_word else chance_level(len(tally.found.words)))

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


def _keys(activations: Activations) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Numbers that are equal for the same unit text in the same text, and for the same unit text anywhere."""
    units = numbered(_unit_texts(activations))
    return numbered(activations.texts)[activations.text_of] * len(units) + units, units


def _unit_texts(activations: Activations) -> Iterator[str]:
    """The text of the unit of each row; of a store the units of each text are read once."""
    places = zip(activations.text_of.numpy(), activations.unit_of.numpy(), strict=True)
    for text, rows in groupby(places, itemgetter(0)):
        units = activations.units[int(text)]
        yield from (units[int(unit)].text for _, unit in rows)


def _examples(found: Strongest, activations: Activations) -> list[list[Example]]:
    return [[Example.at(activations, row, value) for row, value in entries] for entries in found.entries]


def _unit_words(found: Strongest, activations: Activations) -> list[list[Word]]:
    return [[(activations.unit(row).text, value) for row, value in entries] for entries in found.entries]


def _interpretation(examples: list[list[Example]], words: list[list[Word]], chance: float | None) -> Interpretation:
    def entry(concept: int) -> LabelledConcept:
        said = tuple(words[concept])
        note = "" if said else "no word or unit raises this concept."
        if said and chance is not None and said[0][1] < chance:
            note = f"its strongest word is {said[0][1]:.1f} standard errors up; chance alone gives up to {chance:.1f}."
        label = ", ".join(word for word, _ in said) or None
        return LabelledConcept(concept, label, said, tuple(examples[concept]), note=note)

    return Interpretation(tuple(entry(concept) for concept in range(len(words))))
