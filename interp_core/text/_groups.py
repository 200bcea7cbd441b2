"""Groups of units: documents, messages or paragraphs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import torch
from interp_core.text._encoded import DividedText
from interp_core.text._granularity import paragraph_spans
from jaxtyping import Int
from torch import Tensor


def groups_of(divided: DividedText) -> Int[Tensor, " u"]:
    """Assign each unit to a group: the document in which it begins, else the message, else the paragraph.

    The first of these that distinguishes units counts. Units outside of them, such as a message beside the documents,
    are grouped by message or paragraph. A continuation is a group of its own.

    Args:
        divided: the text in units.

    Returns:
        (u) the number of the group of each unit, from 0 in the order in which groups begin.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_core.text import divide, groups_of
        >>> groups_of(divide(tiny_classifier().encoder("so sad\\n\\nnever happy today"), "word"))
        tensor([0, 0, 1, 1, 1])
    """
    answer = divided.continuation if divided.continuation >= 0 else len(divided.text)
    levels = [sorted(places) for places in (divided.documents, divided.turns, paragraph_spans(divided.text))]
    begins = [unit.start for unit in divided.units]
    keys: list[tuple[int, int]] = []
    while levels:
        keys = [(0, answer) if begin >= answer else _place(begin, levels) for begin in begins]
        if len(set(keys) - {(0, answer)}) > 1:
            break
        del levels[0]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return torch.tensor([numbers[key] for key in keys], dtype=torch.long)


def _place(begin: int, levels: Sequence[Sequence[tuple[int, int]]]) -> tuple[int, int]:
    """The first of the places that holds a character."""
    for level, places in enumerate(levels, 1):
        i = bisect_right(places, (begin, len(places) and places[-1][1])) - 1
        if i >= 0 and begin < places[i][1]:
            return level, places[i][0]
    return 0, 0
