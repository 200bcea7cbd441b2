"""One method asked one question: what it needs is checked before, what it gave after."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.attribution._attribution import Attribution
from interp_core.attribution._question import Question
from interp_core.errors import ModelError, UnsupportedError
from interp_core.plugin import declaration_of, methods
from interp_core.results import MadeBy
from jaxtyping import Float
from torch import Tensor

INCOMPLETE = 0.01  # the share of the difference explained above which a reader is told


def run_method(method: Any, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"] | None]:
    """The scores of a method, and their standard errors if it gives them; zero where not applicable.

    Raises:
        UnsupportedError: the method needs what the question does not offer.
        ModelError: the method gave something else than finite (k, u) scores.
    """
    check_needs(method, question)
    found = method.attribute(question)
    scores, error = found if isinstance(found, tuple) else (found, None)
    expected = (len(question.targets), len(question.units))
    if not isinstance(scores, Tensor) or tuple(scores.shape) != expected:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ModelError(f"{name_of(method)} gave {shape}; {expected} (targets, units) was expected.")
    if not torch.isfinite(scores).all():
        raise ModelError(f"{name_of(method)} gave NaN or infinity for {question.text[:60]!r}.")

    def kept(values: Tensor) -> Tensor:
        return values.detach().float().cpu().where(question.applicable, torch.zeros(()))

    return kept(scores), None if error is None else kept(error)


def all_zero_note(question: Question, scores: Float[Tensor, "k u"]) -> tuple[str, ...]:
    """What to say when nothing at all was found to matter."""
    tiny = 1e-6 * float(question.intact().abs().max())  # what differs by rounding alone
    if len(question.units) < 2 or float(scores.abs().max()) > tiny:
        return ()
    return ("Every score is zero: from where the question is asked, no unit reaches the answer.",)


def completeness_note(method: Any, question: Question, scores: Float[Tensor, "k u"]) -> tuple[str, ...]:
    """What to say when a method that claims completeness misses it by more than it should on this question."""
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


def check_needs(method: Any, question: Question) -> None:
    """Refuse before any computation what cannot work, and name what would.

    Raises:
        UnsupportedError: something is missing.
    """
    declared = declaration_of(method)
    needed = declared.needs if declared else frozenset()
    offers = question.offers | ({"internals"} if question.internals is not None else set())
    missing = sorted(needed - offers)
    if missing:
        able = [m.name for m in methods("attribution") if m.needs <= offers]
        raise UnsupportedError(
            f"{name_of(method)} needs {', '.join(missing)}, which this question does not offer. "
            f"These would work: {', '.join(able)}."
        )


def name_of(method: Any) -> str:
    """The name of a method, or of its class where it is not declared."""
    declared = declaration_of(method)
    return declared.name if declared else type(method).__name__


def explain(method: Any, question: Question) -> Attribution:
    """One method on one question, its answer checked: the smallest whole use of a method.

    Raises:
        UnsupportedError: the method needs what the question does not offer.
        ModelError: the method gave something else than finite (k, u) scores.
    """
    scores, error = run_method(method, question)
    return Attribution(
        text=question.text,
        units=question.units,
        targets=question.targets,
        scores=scores,
        made_by=MadeBy(name_of(method)),
        error=error,
        applicable=question.applicable,
        intact=question.intact(),
        notes=(*question.notes, *completeness_note(method, question, scores), *all_zero_note(question, scores)),
        rows=question.rows,
    )
