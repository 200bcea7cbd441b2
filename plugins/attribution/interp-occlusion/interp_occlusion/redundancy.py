"""What leaving one out cannot see: units that stand in for each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from interp_core.attribution import Question
from jaxtyping import Bool, Float
from torch import Tensor

LITTLE = 0.1  # share of the score or of 1, and of what all units change together, below which no part changes much
MOST = 3  # notes on equal parts


def note_redundancy(question: Question, alone: Float[Tensor, "k n"], parts: Bool[Tensor, "n u"]) -> None:
    """Note where parts matter together and none of them alone.

    Only where most parts have several words, such as sentences: words repeat for other reasons. Parts that are equal
    but for case, spaces and punctuation are removed together, one row for each such set. Where no part alone changes
    the score of a target much, all are removed together, in one row. Rows that `max_rows` has no room for are not
    taken.

    Args:
        question: the question, whose text is cut into parts.
        alone: (k, n) score(intact) - score(without the part).
        parts: (n, u) the units of each part.

    Examples:
        >>> import torch
        >>> from interp_core.attribution import ask
        >>> from interp_occlusion.redundancy import note_redundancy
        >>> names = ["it rains", "so what", "it rains"]
        >>> question = ask(lambda v: 8 * v[:, ::2, 0].amax(1, keepdim=True), torch.ones(3, 1), names=names)
        >>> note_redundancy(question, torch.zeros(1, 3), torch.eye(3).bool())
        >>> print(question.noted[0])
        The 2 units 'it rains' say the same: removing them together changes the score of 'y0' by -8, removing one of
        them by no more than 0. Methods that draw subsets, such as shapley or context-cite, see them.
    """
    words = [tuple(re.findall(r"\w+", _text(question, part).casefold())) for part in parts]
    if sum(len(own) > 1 for own in words) > len(words) / 2 and not _note_equal(question, alone, parts, words):
        _note_all(question, alone)


def _note_equal(
    question: Question, alone: Float[Tensor, "k n"], parts: Bool[Tensor, "n u"], words: Sequence[tuple[str, ...]]
) -> bool:
    """Note which parts of the same words matter together and not alone; whether there are some."""
    same: dict[tuple[str, ...], list[int]] = {}
    for i, own in enumerate(words):
        same.setdefault(own, []).append(i)
    sets = [numbers for own, numbers in same.items() if len(own) > 1 and len(numbers) > 1][: _room(question)]
    if not sets:
        return False
    gone = torch.stack([parts[one].any(0) for one in sets])
    together = question.intact()[:, None] - question.masked(~gone).T  # (k, sets)
    notes = []
    for i in together.abs().max(0).values.argsort(descending=True).tolist():
        k = int(together[:, i].abs().argmax())
        change, single = together[k, i], alone[k, sets[i]].abs()
        if change.abs() > max(2 * float(single.sum()), float(alone[k].abs().max()) / 2):
            notes.append(
                f"The {len(sets[i])} units {_text(question, parts[sets[i][0]])!r} say the same: removing them together "
                f"changes the score of {question.targets[k].label!r} by {-float(change):+.3g}, removing one of them by "
                f"no more than {float(single.max()):.2g}. {SEEN}"
            )
    for note in notes[:MOST]:
        question.note(note)
    return bool(notes)


def _note_all(question: Question, alone: Float[Tensor, "k n"]) -> None:
    """Note if all units matter together and none of them alone."""
    largest = alone.abs().max(1).values
    little = largest < LITTLE * question.intact().abs().clamp(min=1)
    if alone.shape[1] < 2 or not bool(little.any()) or _room(question) == 0:
        return
    gap = (question.intact() - question.emptied()) * little
    k = int(gap.abs().argmax())
    if float(gap[k].abs()) > max(2 * float(alone[k].abs().sum()), float(largest[k]) / LITTLE, LITTLE):
        question.note(
            f"Removing all units changes the score of {question.targets[k].label!r} by {-float(gap[k]):+.3g}, removing "
            f"one by no more than {float(largest[k]):.2g}: leaving one out does not see units that stand in for each "
            f"other. {SEEN}"
        )


SEEN = "Methods that draw subsets, such as shapley or context-cite, see them."


def _room(question: Question) -> int | None:
    """How many rows may still be evaluated; None for no limit."""
    return None if question.max_rows is None else max(0, question.max_rows - question.rows)


def _text(question: Question, part: Bool[Tensor, " u"]) -> str:
    return " ".join(question.units[i].text.strip() for i in part.nonzero().flatten().tolist())
