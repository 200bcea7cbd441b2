"""Whether a judge finds the one example that a concept is not active on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_core.plugin import resolve

from interp_label_scores.excerpts import Excerpt
from interp_label_scores.judging import DATA, Prompt, judged, numbered
from interp_label_scores.sampling import TOO_FEW, Drawn, Sampling
from interp_label_scores.scoring import NO_VERDICT, Case, Outcome, total
from interp_label_scores.word_judge import WordJudge

INTRUDER = f"""\
You are given numbered excerpts. All of them but one have something in common, such as a topic, a word, a form or a \
tone. Find the one that does not share it.
{DATA}"""
REPLY = 'Reply with JSON and nothing else: {"intruder": n}, with the number of that excerpt.'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"intruder": {"type": "integer"}},
    "required": ["intruder"],
    "additionalProperties": False,
}
UNUSED = "Labels are not used: this says whether the examples of a concept have something in common at all."


@dataclass(frozen=True)
class Intruder:
    """How often a judge finds the one excerpt of several on which a concept is not active, mean over concepts; chance
    is one in `options`.

    It does not use the label, so that concepts without one are asked about as well: where it is at chance, no label can
    be right. Excerpts on which the concept is active are drawn as for `detection`, and dealt to trials at random.

    Answers that fail or cannot be read are counted in the notes and left out; a concept has no score, and is counted,
    if there are fewer than `options` - 1 active or three other excerpts of it, or no answer in more than half of the
    trials.

    Args:
        llm: the judge: name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts are
            sent to it.
        trials: how often it is asked about a concept, with another intruder each time as long as there are others.
        options: how many excerpts it chooses from.
        context: units shown on either side, within the text.
        bins: stretches of the ranking of codes above 0 that active excerpts come from.
        seed: of the draws.
        cache: folder in which answers are kept, so that a run that dies goes on; None for none.
        instructions: the system message; the form of the answer is added to it.

    Raises:
        InputError: a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, intruder scoring. Departs from it in that the excerpts of a trial are
    of any strength, where theirs come from one decile.
    """

    CHECKED_WITH: ClassVar[dict[str, Any]] = {"llm": WordJudge(), "trials": 40}
    higher_is_better: ClassVar[bool] = True
    reads_labels: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "mean over concepts of how often a judge finds the one excerpt on which a concept is not active"
    )

    llm: Any = "openai"
    trials: int = 10
    options: int = 5
    context: int = 16
    bins: int = 10
    seed: int = 0
    cache: str | None = None
    instructions: str = INTRUDER

    def __post_init__(self) -> None:
        if min(self.trials, self.bins) < 1 or self.options < 3 or min(self.context, self.seed) < 0:
            raise InputError(
                f"options={self.options} must be at least 3, trials={self.trials} and bins={self.bins} at least 1, "
                f"context={self.context} and seed={self.seed} at least 0."
            )

    def ready(self) -> None:
        """Called before anything is computed.

        Raises:
            InputError: the judge cannot be asked at all, such as for want of a key.
        """
        resolve(self.llm, "llm")

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all concepts; `values` has one for each that has a score.

        Raises:
            InputError: the activations do not fit, or the judge cannot be asked at all.
            UnsupportedError: there are too few excerpts for all of the concepts.
            LLMError: the judge gave no answer in more than half of the trials of each concept.
        """
        sampling = Sampling(
            (self.options - 1) * self.trials, self.trials, self.context, self.bins, self.seed, unlabelled=True
        )
        found, without = sampling.draw(interpretation, space, activations)
        drawn = [one for one in found if len(one.active) >= self.options - 1]
        few = {one.labelled.concept: TOO_FEW for one in found if len(one.active) < self.options - 1}
        trials = [self._trials(one) for one in drawn]
        system = f"{self.instructions}\n{REPLY}"
        prompts = [[Prompt(system, numbered([e.plain for e in t]), len(t)) for t, _ in own] for own in trials]
        said = judged(self.llm, prompts, number_in, cache=self.cache, schema=SCHEMA)
        outcomes = [
            outcome_of([place for _, place in own], answers) for own, answers in zip(trials, said.readings, strict=True)
        ]
        notes = [UNUSED, f"{self.trials} trials of {self.options} excerpts a concept.", *said.notes]
        cases = [Case(one, "") for one in drawn]
        why = {**without, **few}
        return total(interpretation, cases, outcomes, why, notes=notes, usage=said.usage, chance=1 / self.options)

    def _trials(self, drawn: Drawn) -> list[tuple[list[Excerpt], int]]:
        """The excerpts of each trial, and the place of the intruder among them."""
        generator = np.random.default_rng([self.seed, drawn.labelled.concept, 1])
        found = []
        for trial in range(self.trials):
            chosen = generator.choice(len(drawn.active), self.options - 1, replace=False)
            place = int(generator.integers(self.options))
            shown = [drawn.active[i] for i in chosen]
            shown.insert(place, drawn.inactive[trial % len(drawn.inactive)])
            found.append((shown, place))
        return found


def number_in(said: Any, count: int) -> int | None:
    """The place, from 0, of the excerpt that an answer names; None if it names none."""
    named = said.get("intruder") if isinstance(said, dict) else said
    named = named[0] if isinstance(named, list) and len(named) == 1 else named
    said = str(named).strip() if isinstance(named, int | str) and not isinstance(named, bool) else ""
    number = int(said) if said.isdecimal() and len(said) <= len(str(count)) else 0
    return number - 1 if 1 <= number <= count else None


def outcome_of(places: Sequence[int], answers: Sequence[int | None]) -> Outcome:
    """How often the place was found, of the times that there is an answer."""
    right = [answer == place for place, answer in zip(places, answers, strict=True) if answer is not None]
    return Outcome(None, NO_VERDICT) if 2 * len(right) < len(places) else Outcome(sum(right) / len(right))
