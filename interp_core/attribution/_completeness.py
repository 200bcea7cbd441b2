"""Notes on scores that do not add up to what they should, or that are all zero."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.attribution._question import Question
from interp_core.plugin import declaration_of
from jaxtyping import Float
from torch import Tensor

APART = 0.1  # share of the difference to the reference by which effects of components may differ from it unsaid
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
    missing = missing_share(question, scores)
    if missing <= INCOMPLETE:
        return ()
    return (f"The scores miss the difference to the baseline, which they should add up to, by {missing:.1%}.",)


def components_note(method: Any, question: Question, scores: Float[Tensor, "k u"]) -> tuple[str, ...]:
    """A note if effects of components that need not add up to the difference between text and reference do not."""
    declared = declaration_of(method)
    if question.components is None or declared is None or "signed" not in declared.claims:
        return ()
    other = {"complete", "seeded"} & declared.claims or "components" in declared.needs
    if other or question.max_rows is not None or not bool(question.applicable.all()):
        return ()
    ends = question.intact(), question.emptied()
    gap, total, least = ends[0] - ends[1], scores.sum(1), _least(*ends)
    missing = (total - gap).abs() / gap.abs().maximum(least)
    worst = int(missing.argmax())
    if float(missing[worst]) <= APART:
        return ()
    sums = (
        f"The scores for {question.targets[worst].label!r} add up to {float(total[worst]):.3g}, and the difference "
        f"between text and reference is {float(gap[worst]):.3g}"
    )
    if "gradients" in declared.needs:
        return (
            f"{sums}: slopes at the text miss or overrate a component whose effect bends on the way to the reference. "
            "Compare with integrated-gradients or occlusion.",
        )
    return (
        f"{sums}: components pass on what others do and stand in for each other, so that effects of single ones "
        "need not add up. Shares that do are given by shapley.",
    )


def missing_share(question: Question, scores: Float[Tensor, "k u"]) -> float:
    """By how much scores miss the difference that they should add up to, score(text) - score(baseline).

    Args:
        question: the question.
        scores: (k, u) an answer to it.

    Returns:
        The part of the difference that is missing or too much, of the target where it is greatest. A difference of less
        than a thousandth of the scores counts as that, since less is rounding.

    Raises:
        BudgetError: two rows more than `max_rows` would be needed.

    Examples:
        >>> from interp_core.attribution import ask, missing_share
        >>> question = ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]))
        >>> round(missing_share(question, torch.tensor([[10.0, 17.0]])), 3)
        0.1
    """
    ends = question.intact(), question.emptied()
    gap = ends[0] - ends[1]
    return float(((scores.sum(1).to(gap) - gap).abs() / gap.abs().maximum(_least(*ends))).max())


def _least(intact: Float[Tensor, " k"], emptied: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """The least difference that is no rounding: a thousandth of the scores."""
    return torch.maximum(intact.abs(), emptied.abs()).clamp(min=1e-6) / 1000
