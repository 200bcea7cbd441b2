"""Notes on scores that do not add up to what they should, or that are all zero."""

from __future__ import annotations

from typing import Any

from interp_core.attribution._question import Question
from interp_core.plugin import declaration_of
from jaxtyping import Float
from torch import Tensor

INCOMPLETE = 0.01  # share of the explained difference that may be missing before a note says so


def all_zero_note(question: Question, scores: Float[Tensor, "k u"]) -> tuple[str, ...]:
    """A note if every score is zero and there are several units."""
    tiny = 1e-6 * float(question.intact().abs().max())  # differences by rounding
    if len(question.units) < 2 or float(scores.abs().max()) > tiny:
        return ()
    return ("Every score is zero: from the features that were explained, no unit reaches the answer.",)


def completeness_note(method: Any, question: Question, scores: Float[Tensor, "k u"]) -> tuple[str, ...]:
    """A note if a method claims completeness, but its scores do not add up to the explained difference."""
    declared = declaration_of(method)
    if declared is None or "complete" not in declared.claims:
        return ()
    gap = question.intact() - question.emptied()
    off = float(((scores.sum(1) - gap).abs() / gap.abs().clamp(min=1e-6)).max())
    if off <= INCOMPLETE:
        return ()
    return (
        f"The scores miss the difference to the baseline, which they should add up to, by {off:.1%}; use more steps.",
    )
