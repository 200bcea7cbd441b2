"""Calls of a method on a question or on several texts: its needs are checked before, its scores after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from interp_core.attribution._attribution import Attribution
from interp_core.attribution._attributions import Attributions
from interp_core.attribution._component_text import ComponentText
from interp_core.attribution._labels import true_classes
from interp_core.attribution._options import Options
from interp_core.attribution._prediction import late_readout
from interp_core.attribution._prepared_text import PreparedText
from interp_core.attribution._question import Question
from interp_core.attribution._question_checks import check_components, check_for_generators
from interp_core.attribution._session import session_of
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.model import CLASSIFIERS, ServedModel, WrappedModel, answer_of
from interp_core.plugin import declaration_of, methods, resolve
from interp_core.results import Cost, counted, lent, made_by
from interp_core.text import Granularity, Text
from jaxtyping import Float
from torch import Tensor

APART = 0.1  # share of the difference to the reference by which effects of components may differ from it unsaid
INCOMPLETE = 0.01  # share of the explained difference that may be missing before a note says so


def run_method(method: Any, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"] | None]:
    """Call an attribution method on a question and check what it returns.

    Args:
        method: an instance of an attribution method.
        question: the question.

    Returns:
        The scores (k, u), and their standard errors (k, u) or None for a method that does not sample. Both are
        detached, float32, on the CPU, and 0 where a unit is not applicable.

    Raises:
        UnsupportedError: the method needs something that the question does not offer.
        BudgetError: the method asks for more rows than `question.max_rows`.
        ModelError: the method returned something other than finite (k, u) scores, or modified the question.

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
    """Look up the name under which a method is registered.

    Args:
        method: an instance of a method.

    Returns:
        The registered name, or the name of the class if no package declares the method.

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
    """Answer one question by one attribution method.

    Args:
        method: an instance of an attribution method.
        question: the question.

    Returns:
        The attribution, with notes if the scores are all zero or not complete. Its `made_by` names the method and the
        rows of the question, but no model.

    Raises:
        InputError: `method` is not an instance of an attribution method.
        UnsupportedError: the method needs something that the question does not offer.
        BudgetError: the method asks for more rows than `question.max_rows`.
        ModelError: the method returned something other than finite (k, u) scores, or modified the question.

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


def explained(
    model: WrappedModel | ServedModel,
    method: Any,
    options: Options,
    texts: Sequence[Text],
    *,
    granularity: Granularity,
    targets: Any = None,
    labels: Any = None,
    first: int | None = None,
) -> tuple[list[Attribution], dict[str, str], Cost]:
    """The attributions of some texts, which share passes; the errors of those that were skipped, and the cost.

    The arguments are those of `attribute`. `first` is the number of the first text in a run in shards. What is kept of
    such a run is the same whenever it is made, so it says no seconds.
    """
    declared = declaration_of(method)
    pointwise = declared is not None and "pointwise" in declared.claims
    session = session_of(model, options, pointwise=pointwise)
    check_for_generators(model, options)
    check_components(options, granularity)
    truths = None if labels is None else true_classes(model, texts, labels)
    readout = late_readout(model, options, targets) if pointwise else None
    known: dict[str, Any] = {"answers": truths is not None, "readout": readout, "first": first}
    prepared = session.prepare(texts, targets, granularity, **known)
    first_of = {_key(p): i for i, p in reversed(list(enumerate(prepared)))}
    firsts = sorted(first_of.values())  # equal texts with equal targets are explained once
    works = [partial(explain, method)] * len(firsts)
    explained = session.each([prepared[i] for i in firsts], works, f"attribute by {name_of(method)}")
    failed = session.attempts.failed
    by_first = dict(zip(firsts, explained, strict=True))
    for item in prepared:
        if by_first[first_of[_key(item)]] is None:
            failed.setdefault(item.number, failed[prepared[first_of[_key(item)]].number])
    session.attempts.check()
    results = [
        (session.with_prediction(item, prepared[one]), result)
        for item, one in ((item, first_of[_key(item)]) for item in prepared)
        if (result := by_first[one]) is not None
    ]
    cost = session.cost if first is None else replace(session.cost, seconds=0.0)
    settings = {name: value for name, value in session.settings(granularity).items() if name != "skipped"}
    provenance = made_by(method, cost, model.name, settings)
    found = [
        replace(
            result,
            made_by=replace(provenance, settings={**provenance.settings, **_settings(item)}),
            score_space=item.readout.space,
            encoded=item.encoded,
            label=None if truths is None else truths[item.number],
            **_answer(model, item, result),
        )
        for item, result in results
    ]
    return found, session.attempts.skipped, cost


def with_notes(found: list[Attribution], skipped: dict[str, str], texts: int) -> tuple[Attributions, list[str]]:
    """Attributions that say which texts were skipped; and what the caller should be warned of."""
    noted = [one for one in found if one.notes]
    notes = [f"{len(noted)} of {len(found)} texts: {noted[0].notes[0]}"] if noted else []
    lost = skipped_note(skipped, texts)
    if lost:
        found = [
            replace(
                one,
                made_by=replace(one.made_by, settings={**one.made_by.settings, "skipped": skipped}),
                notes=(*one.notes, *lost),
            )
            for one in found
        ]
    return Attributions(found), notes + lost


def skipped_note(skipped: dict[str, str], texts: int) -> list[str]:
    """The warning about texts that were skipped, in a list; none if there are none."""
    if not skipped:
        return []
    return [f"{len(skipped)} of {counted(texts, 'text')} were skipped: {next(iter(skipped.values()))}"]


def _answer(model: WrappedModel | ServedModel, item: PreparedText, result: Attribution) -> dict[str, Any]:
    """The answer of a classifier and its probability, if all of its logits are known."""
    if model.head not in CLASSIFIERS or model.head == "regression":
        return {}
    logits, every = item.logits, [(i, None, None) for i in range(len(model.labels))]
    asked = [(t.index, t.against, t.function) for t in item.readout.targets]
    if logits is None and item.readout.space == "logit" and asked == every:
        logits = result.intact
    if logits is None:
        return {}
    answer, probability = answer_of(logits, model.labels, model.head)
    return {"answer": answer, "probability": probability}


def _settings(item: PreparedText) -> dict[str, Any]:
    """What the provenance of one text says besides the settings of the run."""
    if isinstance(item.encoded, ComponentText):
        return {"over": item.encoded.over, "reference": item.encoded.reference}
    return {"removal": item.removal}


def _key(prepared: PreparedText) -> tuple[Any, ...]:
    encoded = prepared.encoded
    components = encoded.key if isinstance(encoded, ComponentText) else ()
    return (encoded.text, encoded.said, encoded.documents, encoded.units, prepared.readout.targets, components)


def _instance(method: Any) -> Any:
    """The method, unless it is a name.

    Raises:
        InputError: it is not an instance of an attribution method.
    """
    if isinstance(method, str):
        raise InputError(f"{method!r} is a name; give an instance, such as interp.method({method!r}).")
    return resolve(method, "attribution")


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
    """Measure the completeness error of scores, which should add up to score(text) - score(baseline).

    Args:
        question: the question.
        scores: (k, u) the scores that a method gave.

    Returns:
        |sum of scores - difference| / |difference|, for the target where it is largest. A difference below a thousandth
        of the larger of the two scores is replaced by that, since it may be rounding.

    Raises:
        BudgetError: the intact and the emptied text would exceed `max_rows`.

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
