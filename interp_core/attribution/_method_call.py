"""One call of one method: what it needs is checked before the call, what it returns is checked after."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.attribution._attribution import Attribution
from interp_core.attribution._completeness import all_zero_note, completeness_note, components_note
from interp_core.attribution._question import Question
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.plugin import declaration_of, methods, resolve
from interp_core.results import Cost, lent, made_by
from jaxtyping import Float
from torch import Tensor


def run_method(method: Any, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"] | None]:
    """Call a method and check what it returns.

    Args:
        method: an instance of an attribution method.
        question: the question.

    Returns:
        The scores (k, u) and their standard errors (k, u), or None for a method that does not sample. Both are
        detached, float32, on the CPU, and 0 where a unit is not applicable.

    Raises:
        UnsupportedError: the method needs something that the question does not offer.
        BudgetError: the method asks for more rows than `question.max_rows`.
        ModelError: the method gave something other than finite (k, u) scores, or wrote into the question.

    Examples:
        >>> from interp_core.attribution import run_method
        >>> from interp_core.testing import linear_world
        >>> question, contributions = linear_world(units=4, targets=2)
        >>> scores, error = run_method(interp.method("occlusion"), question)
        >>> torch.allclose(scores, contributions, atol=1e-5), error
        (True, None)
    """
    check_needs(method, question)
    with lent(method, question) as (own,):
        returned = method.attribute(own)
    scores, error = returned if isinstance(returned, tuple) else (returned, None)
    expected = (len(question.targets), len(question.units))
    if not isinstance(scores, Tensor) or tuple(scores.shape) != expected:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ModelError(f"{name_of(method)} gave {shape}; {expected} (targets, units) was expected.")
    if not torch.isfinite(scores).all():
        raise ModelError(f"{name_of(method)} gave NaN or infinity for {question.text[:60]!r}.")

    def kept(values: Tensor) -> Tensor:
        return values.detach().float().cpu().where(question.applicable, torch.zeros(()))

    return kept(scores), None if error is None else kept(error)


def check_needs(method: Any, question: Question) -> None:
    """Refuse a method that cannot work, before anything is computed.

    Raises:
        UnsupportedError: the method needs something that the question does not offer; the message names the methods
            that would work.
    """
    declared = declaration_of(method)
    needed = declared.needs if declared else frozenset()
    offers = question.offers | ({"internals"} if question.internals is not None else set())
    missing = sorted(needed - offers)
    if missing:
        able = [m.name for m in methods("attribution") if m.needs <= offers]
        raise UnsupportedError(
            f"{name_of(method)} needs {', '.join(missing)}, which this question does not offer.{question.lacks} "
            f"These would work: {', '.join(able)}."
        )


def name_of(method: Any) -> str:
    """The name of a method.

    Args:
        method: an instance.

    Returns:
        The registry name, or the name of the class if the method is not declared.

    Examples:
        >>> from interp_core.attribution import name_of
        >>> name_of(interp.method("integrated-gradients", steps=8))
        'integrated-gradients'
        >>> class Mine:
        ...     pass
        >>> name_of(Mine())
        'Mine'
    """
    declared = declaration_of(method)
    return declared.name if declared else type(method).__name__


def explain(method: Any, question: Question) -> Attribution:
    """Explain one question by one method.

    Args:
        method: an instance of an attribution method.
        question: the question.

    Returns:
        The scores with what is known of the question, and notes if the scores are all zero or not complete. `made_by`
        knows the method and the rows of the question, and no model.

    Raises:
        InputError: `method` is not an instance of an attribution method.
        UnsupportedError: the method needs something that the question does not offer.
        BudgetError: the method asks for more rows than `question.max_rows`.
        ModelError: the method gave something other than finite (k, u) scores, or wrote into the question.

    Examples:
        >>> from interp_core.attribution import ask, explain
        >>> question = ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]), names=["one", "two"])
        >>> explain(interp.method("occlusion"), question).top()
        [('two', 20.0), ('one', 10.0)]
    """
    before = len(question.noted)
    scores, error = run_method(_instance(method), question)
    noted = question.noted[before:]
    return Attribution(
        text=question.text,
        units=question.units,
        targets=question.targets,
        scores=scores,
        made_by=made_by(method, Cost(rows=question.rows)),
        error=error,
        applicable=question.applicable,
        intact=question.intact(),
        notes=(
            *question.notes,
            *noted,
            *completeness_note(method, question, scores),
            *components_note(method, question, scores),
            *all_zero_note(question, scores),
        ),
        rows=question.rows,
    )


def _instance(method: Any) -> Any:
    """The method, unless it is a name.

    Raises:
        InputError: it is not an instance of an attribution method.
    """
    if isinstance(method, str):
        raise InputError(f"{method!r} is a name; give an instance, such as interp.method({method!r}).")
    return resolve(method, "attribution")
