"""From what each concept scores to one `Score`, with what labels permuted across concepts get."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.errors import LLMError, UnsupportedError
from interp_core.metrics import Score
from interp_core.results import Usage
from interp_core.statistics import interval_of_mean
from interp_llm.asking import check_ready
from torch import Tensor

from interp_label_scores.judging import Form, Prompt, judged
from interp_label_scores.sampling import TOO_FEW, Drawn, Sampling

MORE = (
    "Give activations of more texts than the labels were made from; or, where concepts are active in nearly every "
    "unit, a threshold, such as threshold=0.2 to count as active what is above a fifth of the largest code, a smaller "
    "context, or a space with sparser codes."
)
UNKNOWN = "The labels do not say what they were made from beyond their examples; give activations of other texts."
NO_VERDICT = "no verdict on more than half of the excerpts"


@dataclass(frozen=True)
class Case:
    """A label that is held against the excerpts of a concept: its own, or that of another concept.

    Attributes:
        drawn: the concept and its excerpts.
        label: the label.
        own: whether it is that of the concept.
    """

    drawn: Drawn
    label: str
    own: bool = True


@dataclass(frozen=True)
class Outcome:
    """What one case scores.

    Attributes:
        value: the score; None if there is none.
        why: the reason in that case.
    """

    value: float | None
    why: str = ""


class JudgedScore(ABC):
    """A score for which a judge is asked.

    Attributes:
        FORM: of the answers.
        llm: the judge.
        cache: the folder of its answers; None for none.
    """

    FORM: ClassVar[Form]
    llm: Any
    cache: str | None

    def ready(self) -> None:
        """Called before anything is computed.

        Raises:
            InputError: the judge cannot be asked at all, such as for want of a key, unless answers in the cache may do
                without it.
        """
        check_ready(self.llm, cache=self.cache)

    @abstractmethod
    def prompts(self, case: Case) -> list[Prompt]:
        """What the judge is asked about a case."""

    @abstractmethod
    def outcome(self, case: Case, readings: Sequence[Any]) -> Outcome:
        """What a case scores by what each answer says; None stands for no answer, or none that can be read."""

    def asked(
        self,
        interpretation: Interpretation,
        cases: Sequence[Case],
        without: Mapping[int, str],
        *,
        notes: Sequence[str],
        chance: float | None = None,
    ) -> Score:
        """What the judge makes of all cases; see `total`."""
        prompts = [self.prompts(case) for case in cases]
        said = judged(self.llm, prompts, self.FORM.read, cache=self.cache, schema=self.FORM.schema)
        outcomes = [self.outcome(case, own) for case, own in zip(cases, said.readings, strict=True)]
        told = [*notes, *said.notes]
        return total(interpretation, cases, outcomes, without, notes=told, usage=said.usage, chance=chance)


def drawn_cases(
    sampling: Sampling,
    interpretation: Interpretation,
    space: ConceptSpace,
    activations: Activations,
    *,
    permuted: bool,
) -> tuple[list[Case], dict[int, str], list[str]]:
    """The cases, with as many excerpts of one sort as of the other; the reason of each concept that is none; and what a
    reader should know of them.

    Raises:
        InputError: the activations are not those of the space, or the space does not have one of the concepts.
    """
    found, without = sampling.draw(interpretation, space, activations)
    drawn = [one.balanced() for one in found]
    return cases_of(drawn, permuted, sampling.seed), without, excerpt_notes(drawn, sampling)


def cases_of(drawn: Sequence[Drawn], permuted: bool, seed: int) -> list[Case]:
    """Each concept with its label, and then, if they are to be permuted, each with the label of another concept."""
    labels = [one.labelled.label or "" for one in drawn]
    others = deranged(labels, seed) if permuted else []
    own = [Case(one, label) for one, label in zip(drawn, labels, strict=True)]
    return own + [Case(one, label, own=False) for one, label in zip(drawn, others, strict=False) if label is not None]


def deranged(labels: Sequence[str], seed: int) -> list[str | None]:
    """For each label that of another concept, drawn at random; None where no label differs.

    Each label goes to one concept, but where more than half of them are equal.
    """
    names = [label.strip().casefold() for label in labels]
    drawn = np.random.default_rng(seed).permutation(len(names)).tolist()
    group = {name: place for place, name in enumerate(dict.fromkeys(names[i] for i in drawn))}
    order = sorted(drawn, key=lambda i: group[names[i]])  # equal labels side by side, so that a turn parts them
    turn = max((names.count(name) for name in group), default=0)
    found: list[str | None] = [None] * len(names)
    for place, i in enumerate(order):
        other = order[(place + turn) % len(order)]
        found[i] = labels[other] if names[other] != names[i] else None
    return found


def total(
    interpretation: Interpretation,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    without: Mapping[int, str],
    *,
    notes: Sequence[str] = (),
    usage: Usage | None = None,
    chance: float | None = None,
) -> Score:
    """The mean over concepts; higher is better.

    Args:
        interpretation: what is measured.
        cases: the labels held against excerpts.
        outcomes: of each case.
        without: the reason of each concept that is no case.
        notes: what else a reader should know.
        usage: what asking took.
        chance: what chance gets, where that is known without permuted labels.

    Returns:
        The score; `values` has one for each concept of the interpretation, NaN for one without a score.

    Raises:
        LLMError: no concept has a score, and at least one was asked about.
        UnsupportedError: no concept could be asked about.
    """
    own, others = (_by_concept(cases, outcomes, mine) for mine in (True, False))
    why = {**without, **{c: o.why for c, o in own.items() if o.value is None}}
    scored = [c.concept for c in interpretation if c.concept in own and own[c.concept].value is not None]
    reasons = _reasons(why)
    if not scored and usage is not None and usage.dry:
        raise LLMError(f"a dry run: nothing was asked, so that there is no score. It would take {usage}.")
    if not scored:
        error = LLMError if own else UnsupportedError
        more = [MORE] * (TOO_FEW in reasons)
        raise error(" ".join([f"none of {len(interpretation)} concepts has a score: {reasons}.", *more, *notes]))
    values = _tensor(own, scored)
    unknown = [UNKNOWN] if any(c.label and not c.shown for c in interpretation) else []
    told = [f"{len(scored)} of {len(interpretation)} concepts have a score{f'; {reasons}' if reasons else ''}."]
    both = [c for c in scored if c in others and others[c].value is not None]
    margins, error_of_chance = None, None
    if both:
        by_chance = _tensor(others, both)
        chance, margins = float(by_chance.double().mean()), _tensor(own, both) - by_chance
        error_of_chance = float(by_chance.double().std()) / len(both) ** 0.5 if len(both) > 1 else None
        told.append(f"Labels permuted across concepts: {_with_interval(by_chance)}, on {len(both)} concepts.")
    elif chance is not None:
        margins = values - chance
    elif any(not case.own for case in cases):
        told.append("Labels permuted across concepts have no score, so there is no chance level.")
    every = [c.concept for c in interpretation]
    return Score(
        float(values.double().mean()),
        True,
        _tensor(own, every),
        interval_of_mean(values),
        chance,
        margins,
        notes=(*told, *unknown, *notes),
        chance_error=error_of_chance,
        usage=usage,
    )


def excerpt_notes(drawn: Sequence[Drawn], sampling: Sampling) -> list[str]:
    """How many excerpts there were, what counted as active in them, and how many were shortened."""
    if not drawn:
        return []
    wanted = sampling.active
    counts = [len(one.active) for one in drawn]
    fewer = sum(count < wanted for count in counts)
    less = f"; fewer for {fewer} concepts, at least {min(counts)} of each" if fewer else ""
    cut = sum(e.cut for one in drawn for e in (*one.active, *one.inactive))
    shortened = [f"{cut} excerpts were shortened."] if cut else []
    each = f"Each concept on {max(counts)} excerpts where it is active and as many where it is not{less}."
    return [each, *threshold_note(sampling.threshold), *shortened]


def threshold_note(threshold: float) -> list[str]:
    """What counted as active, where that is not all above 0."""
    return [f"A concept counts as active above {threshold:g} of its largest code."] if threshold else []


def _by_concept(cases: Sequence[Case], outcomes: Sequence[Outcome], own: bool) -> dict[int, Outcome]:
    return {
        case.drawn.labelled.concept: outcome for case, outcome in zip(cases, outcomes, strict=True) if case.own is own
    }


def _tensor(outcomes: Mapping[int, Outcome], concepts: Sequence[int]) -> Tensor:
    known = (outcomes[c].value if c in outcomes else None for c in concepts)
    return torch.tensor([math.nan if value is None else value for value in known], dtype=torch.float32)


def _reasons(why: Mapping[int, str]) -> str:
    """Which concepts have no score, by reason."""
    concepts: dict[str, list[int]] = {}
    for concept in sorted(why):
        concepts.setdefault(why[concept], []).append(concept)
    return "; ".join(f"{reason}: {len(own)} (concept {_few(own)})" for reason, own in concepts.items())


def _few(numbers: Sequence[int], most: int = 20) -> str:
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")


def _with_interval(values: Tensor) -> str:
    interval = interval_of_mean(values)
    return f"{float(values.mean()):.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
