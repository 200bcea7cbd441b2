"""Which words a corpus has, and in which rows of its activations they stand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from unicodedata import category

import torch
from interp_core.activations import Activations
from interp_core.text import word_spans
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Row `row[i]` holds the word number `word[i]`; each pair once, in the order of the rows.

    Attributes:
        words: how each word is shown: its most frequent form in the corpus.
        row: rows of the activations (o).
        word: numbers of words (o).
    """

    words: tuple[str, ...]
    row: Int[Tensor, " o"]
    word: Int[Tensor, " o"]


@dataclass(frozen=True)
class _Text:
    """The words of a text: where they start and stop, as written, and as counted."""

    starts: list[int]
    stops: list[int]
    forms: list[str]
    keys: list[str]


def without_marks(text: str, start: int, stop: int) -> tuple[int, int]:
    """The characters [start, stop) without the punctuation and white space at their ends; none may be left."""
    while start < stop and _is_mark(text[start]):
        start += 1
    while start < stop and _is_mark(text[stop - 1]):
        stop -= 1
    return start, stop


def _is_mark(character: str) -> bool:
    return not character.isalnum() and (character.isspace() or category(character).startswith("P"))


def occurrences(activations: Activations, min_count: int, key: Callable[[str], str], longest: int = 1) -> Occurrences:
    """The words, and sequences of up to `longest` words, that occur often enough, and where.

    A word stands in a row when its characters overlap those of the row's unit: a sentence holds several words, a token
    a part of one. Punctuation marks and numbers without a letter are no words.

    Args:
        activations: the corpus.
        min_count: how often a word occurs at least.
        key: from a word in lower case to what it is counted as, such as its lemma.
        longest: words of the longest sequence. Between the words of a sequence there is nothing but white space.
    """
    texts = [_sequences(text, key, longest) for text in activations.texts]
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for lengths in texts:
        for text in lengths:
            for form, name in zip(text.forms, text.keys, strict=True):
                forms[name][form] += 1
    kept = sorted(name for name, counted in forms.items() if counted.total() >= min_count)
    number = {name: i for i, name in enumerate(kept)}
    pairs: list[tuple[int, int]] = []
    for row, (t, u) in enumerate(zip(activations.text_of.tolist(), activations.unit_of.tolist(), strict=True)):
        unit, inside = activations.units[t][u], set[str]()
        for text in texts[t]:
            inside.update(text.keys[bisect_right(text.stops, unit.start) : bisect_left(text.starts, unit.stop)])
        pairs += sorted((row, number[name]) for name in inside if name in number)
    row_of, word_of = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return Occurrences(tuple(_shown(forms[name]) for name in kept), row_of.contiguous(), word_of.contiguous())


def _sequences(text: str, key: Callable[[str], str], longest: int) -> list[_Text]:
    """The words of a text, then its pairs of words, and so on."""
    trimmed = (without_marks(text, a, b) for a, b in word_spans(text))
    spans = [(a, b) for a, b in trimmed if any(c.isalpha() for c in text[a:b])]
    names = [key(text[a:b].lower()) for a, b in spans]
    apart = [0, *accumulate(bool(text[one[1] : following[0]].strip()) for one, following in pairwise(spans))]
    found = []
    for words in range(1, longest + 1):
        firsts = [i for i in range(len(spans) - words + 1) if apart[i] == apart[i + words - 1]]
        ranges = [(spans[i][0], spans[i + words - 1][1]) for i in firsts]
        forms = [" ".join(text[a:b] for a, b in spans[i : i + words]) for i in firsts]
        keys = [" ".join(names[i : i + words]) for i in firsts]
        found.append(_Text([a for a, _ in ranges], [b for _, b in ranges], forms, keys))
    return found


def _shown(forms: Counter[str]) -> str:
    """The most frequent form; of equally frequent ones the first in the alphabet."""
    return min(forms, key=lambda form: (-forms[form], form))
