"""The words that matter over all texts of a page: for each method and target those with the highest mean score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from interp_core.attribution import Attribution, ComponentText
from interp_core.reporting._text_data import run_names, scale_of
from interp_core.reporting._text_segments import own_units
from interp_core.reporting._text_views import visible
from interp_core.statistics import interval_of_mean
from torch import tensor

LISTED = 25  # words for each target
DOTS = 40  # texts of a word
TARGETS = 100  # beyond that the targets are not classes but tokens of the answers


def word_tables(attributions: Sequence[Attribution], places: dict[int, int]) -> list[dict[str, Any]]:
    """A table for each method: for each target its words, in the order of their mean scores.

    Words are compared without regard to case and surrounding punctuation. A word that occurs several times in a text
    counts there with its mean, and an explained token is not from its own word.
    Tables are made of units of the text alone, and only where a target is asked about in two texts.

    Args:
        attributions: of all texts.
        places: the number of its text, for the `id` of each attribution.
    """
    tables: dict[str, dict[str, dict[str, list[tuple[float, int]]]]] = {}
    names: dict[str, tuple[str, bool]] = {}
    texts: dict[tuple[str, str], set[int]] = {}
    runs = run_names(attributions)
    for one in attributions:
        if isinstance(one.encoded, ComponentText):
            continue
        scale = scale_of(one, runs[id(one)])
        table = tables.setdefault(scale, {})
        names[scale] = runs[id(one)], one.directed or names.get(scale, ("", False))[1]
        place, names_of_units = places[id(one)], [plain(unit.text) for unit in one.units]
        counts = None if one.applicable is None else one.applicable.tolist()
        for k, target in enumerate(one.targets):
            label = visible(target.label)
            texts.setdefault((scale, label), set()).add(place)
            words, own = table.setdefault(label, {}), own_units(one, target) if one.prompt_stop >= 0 else ()
            for j, (word, score) in enumerate(zip(names_of_units, one.scores[k].tolist(), strict=True)):
                if (counts is None or counts[k][j]) and j not in own and math.isfinite(score):
                    words.setdefault(word, []).append((score, place))
    return [
        {"method": names[scale][0], "scale": scale, "directed": names[scale][1], "targets": rows}
        for scale, table in tables.items()
        if (rows := _targets(table, {label: len(texts[scale, label]) for label in table}, names[scale][1]))
    ]


@lru_cache(maxsize=100_000)
def plain(word: str) -> str:
    """A word without blanks and punctuation around it, in lower case; as it is where nothing else is left."""
    return word.strip().strip(".,;:!?\"'()[]{}«»“”‘’…。、！？").lower() or word.strip()


def _targets(table: dict[str, dict[str, list[Any]]], texts: dict[str, int], directed: bool) -> list[dict[str, Any]]:
    shared = [label for label in table if texts[label] > 1]
    if len(shared) > TARGETS:
        return []
    return [{"label": label, "texts": texts[label], "words": _ranked(table[label], directed)} for label in shared]


def _ranked(words: dict[str, list[tuple[float, int]]], directed: bool) -> list[dict[str, Any]]:
    """The words that occur twice at least; if there are too few of them, all words."""
    often = {word: found for word, found in words.items() if word and len(found) > 1}
    kept = often if len(often) >= 5 else {word: found for word, found in words.items() if word}

    means = {word: _by_text(found, directed) for word, found in kept.items()}

    def mean(word: str) -> float:
        return sum(means[word]) / len(means[word])

    best = sorted(kept.items(), key=lambda item: (-mean(item[0]), item[0]))[:LISTED]
    return [
        {
            "word": word,
            "mean": mean(word),
            "interval": interval_of_mean(tensor(means[word])),
            "count": len(found),
            "dots": [[float(f"{score if directed else abs(score):.6g}"), text] for score, text in _spread(found)],
        }
        for word, found in best
    ]


def _by_text(found: list[tuple[float, int]], directed: bool) -> list[float]:
    """The mean score, or size, of a word in each of its texts."""
    texts: dict[int, list[float]] = {}
    for score, text in found:
        texts.setdefault(text, []).append(score if directed else abs(score))
    return [sum(scores) / len(scores) for scores in texts.values()]


def _spread(found: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """All of them, or as many as are drawn, evenly from the lowest to the highest."""
    ordered = sorted(found)
    if len(ordered) <= DOTS:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (DOTS - 1))] for i in range(DOTS)]
