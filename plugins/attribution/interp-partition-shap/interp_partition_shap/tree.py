"""The tree of a text: sentences, clauses, words, units, and halves of neighbours where there are more than two."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from interp_core.text import Unit, clause_spans, sentence_spans, word_spans


@dataclass(frozen=True)
class Branch:
    """Units that belong together, and the two branches it divides into; none for a single unit."""

    units: tuple[int, ...]
    parts: tuple[Branch, ...] = ()


def levels_of(text: str, units: Sequence[Unit]) -> list[list[int]]:
    """For sentences, clauses and words in turn, the number of the one that each unit ends in.

    A token may begin with the space before it. Empty where the units are no pieces of the text, as concepts are not.
    """
    if any(text[unit.start : unit.stop] != unit.text for unit in units):
        return []
    levels = []
    for spans in (sentence_spans(text), clause_spans(text), word_spans(text)):
        starts = [start for start, _ in spans]
        levels.append([bisect_right(starts, unit.stop - 1) for unit in units])
    return levels


def grown(units: Sequence[int], levels: Sequence[Sequence[int]]) -> Branch:
    """The tree of some units.

    Args:
        units: their numbers, in order.
        levels: for each level, coarsest first, which group each unit of the text is in.
    """
    if len(units) == 1:
        return Branch(tuple(units))
    if not levels:
        return joined([Branch((unit,)) for unit in units])
    first, *finer = levels
    return joined([grown(list(group), finer) for _, group in groupby(units, key=lambda unit: first[unit])])


def joined(branches: Sequence[Branch]) -> Branch:
    """Neighbouring branches under one, cut in two where the numbers of units differ least, and so on."""
    if len(branches) == 1:
        return branches[0]
    units = [unit for branch in branches for unit in branch.units]
    sizes = [len(branch.units) for branch in branches]
    cut = min(range(1, len(sizes)), key=lambda c: abs(2 * sum(sizes[:c]) - len(units)))
    return Branch(tuple(units), (joined(branches[:cut]), joined(branches[cut:])))
