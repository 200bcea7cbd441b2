"""How far what a judge expects by the label follows the activity of a concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.metrics import Score

from interp_label_scores.judging import DATA, Form, Prompt, list_in, listed, numbered
from interp_label_scores.sampling import FEWEST, Sampling, check_settings
from interp_label_scores.scoring import NO_VERDICT, Case, JudgedScore, Outcome, drawn_cases
from interp_label_scores.word_judge import WordJudge

SIMULATION = f"""\
A concept that pieces of a text have to some degree is described by a label. You are given the label and an excerpt, \
divided into numbered pieces. Say how active the concept is on each piece, in its context, from 0 (not at all) to 10 \
(as active as it gets). On most pieces it is 0.
{DATA}"""
REPLY = 'Reply with JSON and nothing else: {"activations": […]}, with one number for each piece, in order.'
SCHEMA = listed("activations", {"type": "number"})
SAME_EXPECTED = "the judge expects the same everywhere, so that no correlation is defined"
SAME_ACTIVITY = "the concept is equally active everywhere, so that no correlation is defined"


def expected_in(said: Any, count: int) -> list[float] | None:
    """The numbers of an answer; None if they are not `count` numbers from 0 to 10."""
    found = list_in(said, "activations", count)
    if found is None or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
        return None
    return [float(one) for one in found] if all(0 <= one <= 10 for one in found) else None


@dataclass(frozen=True)
class Simulation(JudgedScore):
    """Simulation: the correlation of the activity of a concept with what a judge expects by the label alone.

    Half of the excerpts hold the concept, drawn as for `detection`; Pearson's correlation is over the units of all
    excerpts together. Negative codes count as 0.

    The value is the mean over concepts, from -1 to 1, and higher is better: 1 for a judge that is right up to scale, 0
    at chance. `Score.chance` is the value with labels permuted across concepts. Where the judge expects the same on
    every unit, or all codes are equal, no correlation is defined: the concept has no score, which the notes count. They
    also count answers that failed or do not give one number for each unit; these excerpts are left out, and a concept
    has no score if they are more than half. The cost is one call of the judge for each excerpt, twice with `permuted`.

    Args:
        llm: the judge: the name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts
            are sent to it, one in each conversation.
        examples: number of active excerpts for each concept, and of others; at least 3.
        context: number of units shown on either side, within the text; at least 0.
        bins: number of parts of the ranking of the codes of active rows that active excerpts come from, at least 1.
        seed: random seed of the draws and the permutation.
        permuted: judge permuted labels too, which doubles the cost.
        cache: folder in which answers are kept, so that an interrupted run goes on; None for none.
        instructions: the system message; the form of the answer is added to it.
        threshold: share of the largest code of a concept, at least 0 and below 1, above which it is active. The
            correlation is with the codes as they are.

    Raises:
        InputError: a value has another type, or a number is out of range.

    Examples:
        >>> from interp_label_scores.simulation import Simulation
        >>> Simulation(examples=5).definition
        'mean over concepts of the correlation of activity on units with what a judge expects by the label'

    Source:
        Bills et al. 2023, "Language models can explain neurons in language models", steps 2 and 3. Departs from it in
        that the judge names one number for each unit, where theirs takes the expectation over the tokens of one; that
        units are those of the activations; and that texts the labeller was shown are left out.
    """

    CHECKED_WITH: ClassVar[dict[str, Any]] = {"llm": WordJudge()}
    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "mean over concepts of the correlation of activity on units with what a judge expects by the label"
    )

    FORM: ClassVar[Form] = Form(REPLY, SCHEMA, expected_in)

    llm: Any = "openai"
    examples: int = 10
    context: int = 16
    bins: int = 10
    seed: int = 0
    permuted: bool = True
    cache: str | None = None
    instructions: str = SIMULATION
    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, examples=FEWEST)

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the correlation for each label.

        Returns:
            One number for all labels; `values` has one for each concept, NaN for one without a score.

        Raises:
            InputError: the activations do not fit, or the judge cannot be asked at all.
            UnsupportedError: there are no labels, or too few excerpts for all of them.
            LLMError: the answers of the judge give no concept a score.
        """
        sampling = Sampling(self.examples, self.examples, self.context, self.bins, self.seed, self.threshold)
        cases, without, notes = drawn_cases(sampling, interpretation, space, activations, permuted=self.permuted)
        return self.asked(interpretation, cases, without, notes=notes)

    def prompts(self, case: Case) -> list[Prompt]:
        """What the judge is asked about a case: its excerpts in random order, one at a time."""
        system = self.FORM.system(self.instructions)
        excerpts = [excerpt for excerpt, _ in case.drawn.mixed(self.seed)]
        return [Prompt(system, f"Label: {case.label}\n\n{numbered(e.units)}", len(e.units)) for e in excerpts]

    def outcome(self, case: Case, readings: Sequence[list[float] | None]) -> Outcome:
        """The correlation over all units."""
        pairs = [(e.values, said) for (e, _), said in zip(case.drawn.mixed(self.seed), readings, strict=True) if said]
        if 2 * len(pairs) < len(readings):
            return Outcome(None, NO_VERDICT)
        true = np.concatenate([values for values, _ in pairs]).astype(np.float64)
        expected = np.concatenate([said for _, said in pairs]).astype(np.float64)
        if np.ptp(true) == 0:
            return Outcome(None, SAME_ACTIVITY)
        if np.ptp(expected) == 0:
            return Outcome(None, SAME_EXPECTED)
        return Outcome(float(np.corrcoef(true, expected)[0, 1]))
