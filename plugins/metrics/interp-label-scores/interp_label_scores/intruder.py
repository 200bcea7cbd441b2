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
    """Intruder detection: how often a judge finds the one excerpt of several on which a concept is not active.

    The label is not used, and concepts without one are asked about as well: where the judge is at chance, no label can
    be right. Excerpts on which the concept is active are drawn as for `detection` and distributed over the trials at
    random.

    The value is the mean over concepts, from 0 to 1, and higher is better; chance is 1 / `options`. Answers that fail
    or cannot be read are counted in the notes and left out. A concept has no score, and is counted, if it has fewer
    than `options` - 1 active or three other excerpts, or no answer in more than half of the trials. The cost is one
    call of the judge for each trial.

    Args:
        llm: the judge: the name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts
            are sent to it.
        trials: number of trials for each concept, at least 1, with another intruder each time as long as there are
            others.
        options: number of excerpts to choose from, at least 3.
        context: number of units shown on either side, within the text; at least 0.
        bins: number of parts of the ranking of the codes of active rows that active excerpts come from, at least 1.
        seed: random seed of the draws.
        cache: folder in which answers are kept, so that an interrupted run goes on; None for none.
        instructions: the system message; the form of the answer is added to it.
        threshold: share of the largest code of a concept, at least 0 and below 1, above which it is active.

    Raises:
        InputError: a value has another type, or a number is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.concepts import Interpretation, LabelledConcept
        >>> from interp_core.testing import topic_world
        >>> from interp_label_scores.word_judge import WordJudge
        >>> activations, space = topic_world()  # each concept is one of three topics
        >>> unlabelled = Interpretation(tuple(LabelledConcept(i, None) for i in range(3)))
        >>> interp.measure(unlabelled, space, activations, by="intruder", llm=WordJudge()).chance
        0.2

    Source:
        Paulo et al. 2024, arXiv:2410.13928, intruder scoring. Departs from it in that the excerpts of a trial are of
        any strength, where theirs come from one decile.
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
        """Measure how often the intruder is found for each concept.

        Returns:
            One number for all concepts; `values` has one for each concept, NaN for one without a score.

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
