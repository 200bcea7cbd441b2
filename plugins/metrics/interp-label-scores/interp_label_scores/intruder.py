"""Whether a judge finds the one example that a concept is not active on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.metrics import Score

from interp_label_scores.excerpts import Excerpt
from interp_label_scores.judging import DATA, Form, Prompt, numbered
from interp_label_scores.sampling import TOO_FEW, Drawn, Sampling, check_settings
from interp_label_scores.scoring import NO_VERDICT, Case, JudgedScore, Outcome, threshold_note
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


def number_in(said: Any, count: int) -> int | None:
    """The place, from 0, of the excerpt that an answer names; None if it names none."""
    named = said.get("intruder") if isinstance(said, dict) else said
    named = named[0] if isinstance(named, list) and len(named) == 1 else named
    said = str(named).strip() if isinstance(named, int | str) and not isinstance(named, bool) else ""
    number = int(said) if said.isdecimal() and len(said) <= len(str(count)) else 0
    return number - 1 if 1 <= number <= count else None


@dataclass(frozen=True)
class Intruder(JudgedScore):
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
        bins: stretches of the ranking of the codes of active rows that active excerpts come from.
        seed: of the draws.
        cache: folder in which answers are kept, so that a run that dies goes on; None for none.
        instructions: the system message; the form of the answer is added to it.
        threshold: as for `detection`: a concept is active above this share of its largest code.

    Raises:
        InputError: a value of another type, or a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, intruder scoring. Departs from it in that the excerpts of a trial are
    of any strength, where theirs come from one decile.
    """

    CHECKED_WITH: ClassVar[dict[str, Any]] = {"llm": WordJudge(), "trials": 40}
    higher_is_better: ClassVar[bool] = True
    reads_labels: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "mean over concepts of how often a judge finds the one excerpt on which a concept is not active"
    )

    FORM: ClassVar[Form] = Form(REPLY, SCHEMA, number_in)

    llm: Any = "openai"
    trials: int = 10
    options: int = 5
    context: int = 16
    bins: int = 10
    seed: int = 0
    cache: str | None = None
    instructions: str = INTRUDER
    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, options=3, trials=1)

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all concepts; `values` has one for each that has a score.

        Raises:
            InputError: the activations do not fit, or the judge cannot be asked at all.
            UnsupportedError: there are too few excerpts for all of the concepts.
            LLMError: the judge gave no answer in more than half of the trials of each concept.
        """
        active = (self.options - 1) * self.trials
        sampling = Sampling(active, self.trials, self.context, self.bins, self.seed, self.threshold, unlabelled=True)
        found, without = sampling.draw(interpretation, space, activations)
        drawn = [one for one in found if len(one.active) >= self.options - 1]
        few = {one.labelled.concept: TOO_FEW for one in found if len(one.active) < self.options - 1}
        trials = f"{self.trials} trials of {self.options} excerpts a concept."
        notes, cases = [UNUSED, trials, *threshold_note(self.threshold)], [Case(one, "") for one in drawn]
        return self.asked(interpretation, cases, {**without, **few}, notes=notes, chance=1 / self.options)

    def prompts(self, case: Case) -> list[Prompt]:
        """What the judge is asked about a concept: one trial after another."""
        system = self.FORM.system(self.instructions)
        return [Prompt(system, numbered([e.plain for e in t]), len(t)) for t, _ in self._trials(case.drawn)]

    def outcome(self, case: Case, readings: Sequence[int | None]) -> Outcome:
        """How often the intruder was found."""
        return outcome_of([place for _, place in self._trials(case.drawn)], readings)

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


def outcome_of(places: Sequence[int], answers: Sequence[int | None]) -> Outcome:
    """How often the place was found, of the times that there is an answer."""
    right = [answer == place for place, answer in zip(places, answers, strict=True) if answer is not None]
    return Outcome(None, NO_VERDICT) if 2 * len(right) < len(places) else Outcome(sum(right) / len(right))
