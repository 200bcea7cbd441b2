"""Whether a judge tells by its label where a concept is active: in which texts, or on which units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_core.plugin import resolve

from interp_label_scores.excerpts import Excerpt
from interp_label_scores.judging import DATA, Prompt, judged, list_in, listed, numbered
from interp_label_scores.sampling import Drawn, Sampling
from interp_label_scores.scoring import NO_VERDICT, Case, Outcome, cases_of, excerpt_notes, total
from interp_label_scores.word_judge import WordJudge

DETECTION = f"""\
A concept that texts may or may not have is described by a label. You are given the label and numbered excerpts. \
Decide for each excerpt by itself whether it has the concept. How many of them have it is not known: it may be none \
or all.
{DATA}"""
FUZZING = f"""\
A concept that words of a text may or may not have is described by a label. You are given the label and numbered \
excerpts, in each of which a piece stands between << and >>. Decide for each excerpt by itself whether the piece that \
is marked, in its context, has the concept; that another piece has it does not count. How many of the marked ones \
have it is not known: it may be none or all.
{DATA}"""
REPLY = 'Reply with JSON and nothing else: {"verdicts": […]}, with 1 for yes or 0 for no for each excerpt, in order.'
SCHEMA = listed("verdicts", {"type": "integer", "enum": [0, 1]})
MEANT = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


@dataclass(frozen=True)
class Detection:
    """How well a judge that knows the label alone tells excerpts on which a concept is active from others: the balanced
    accuracy, mean over concepts. 0.5 for a judge that always says the same.

    As many excerpts are active as are not. Where a concept is active, they come in equal parts from stretches of the
    ranking of its codes above 0; where it is not, no code in the excerpt is above 0. None comes from a text that the
    labeller was shown. `Score.chance` is what the same judge makes of the same excerpts with labels permuted across
    concepts, which need not be 0.5: where each text has one topic, the label of another topic is worse than none.

    Answers that fail or cannot be read are counted in the notes and left out. A concept has no score, and is counted,
    if it has no label, if fewer than three excerpts of a sort are left for it, or if there is no verdict on more than
    half of its excerpts. `values` has NaN for it.

    Args:
        llm: the judge: name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts are
            sent to it.
        examples: how many active excerpts a concept is scored on, and how many others.
        per_prompt: how many excerpts are judged in one conversation.
        context: units shown on either side, within the text.
        bins: stretches of the ranking.
        seed: of the draws and the permutation.
        permuted: whether permuted labels are judged too, which costs as much again.
        cache: folder in which answers are kept, so that a run that dies goes on; None for none.
        instructions: the system message; the form of the answer is added to it.

    Raises:
        InputError: a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, detection scoring. Departs from it in that excerpts end with the text
    or after `context` units, that they are balanced, and that what the labeller was shown is left out by text.
    """

    CHECKED_WITH: ClassVar[dict[str, Any]] = {"llm": WordJudge()}
    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "mean over concepts of the balanced accuracy with which a judge tells by the label on which excerpts a concept "
        "is active"
    )
    marked: ClassVar[bool] = False

    llm: Any = "openai"
    examples: int = 10
    per_prompt: int = 5
    context: int = 16
    bins: int = 10
    seed: int = 0
    permuted: bool = True
    cache: str | None = None
    instructions: str = DETECTION

    def __post_init__(self) -> None:
        check(self.examples, self.context, self.bins, self.seed)
        if self.per_prompt < 1:
            raise InputError(f"per_prompt is {self.per_prompt}; at least 1 excerpt must be judged at a time.")

    def ready(self) -> None:
        """Called before anything is computed.

        Raises:
            InputError: the judge cannot be asked at all, such as for want of a key.
        """
        resolve(self.llm, "llm")

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all labels; `values` has one for each concept, NaN for one without a score.

        Raises:
            InputError: the activations do not fit, or the judge cannot be asked at all.
            UnsupportedError: there are no labels, or too few excerpts for all of them.
            LLMError: the judge gave no verdict on more than half of the excerpts of each concept.
        """
        sampling = Sampling(self.examples, self.examples, self.context, self.bins, self.seed, self.marked)
        found, without = sampling.draw(interpretation, space, activations)
        drawn = [one.balanced() for one in found]
        cases = cases_of(drawn, self.permuted, self.seed)
        prompts = [self._prompts(case) for case in cases]
        said = judged(self.llm, prompts, verdicts_in, cache=self.cache, schema=SCHEMA)
        outcomes = [
            self._outcome(case, [v for answer, p in zip(answers, own, strict=True) for v in answer or [None] * p.size])
            for case, answers, own in zip(cases, said.readings, prompts, strict=True)
        ]
        notes = [*excerpt_notes(drawn, self.examples), *self._beside(drawn), *said.notes]
        return total(interpretation, cases, outcomes, without, notes=notes, usage=said.usage)

    def _prompts(self, case: Case) -> list[Prompt]:
        mixed = [excerpt for excerpt, _ in case.drawn.mixed(self.seed)]
        parts = [mixed[i : i + self.per_prompt] for i in range(0, len(mixed), self.per_prompt)]
        system = f"{self.instructions}\n{REPLY}"
        return [Prompt(system, f"Label: {case.label}\n\n{numbered(self._lines(part))}", len(part)) for part in parts]

    def _lines(self, excerpts: Sequence[Excerpt]) -> list[str]:
        return [excerpt.marked if self.marked else excerpt.plain for excerpt in excerpts]

    def _outcome(self, case: Case, verdicts: Sequence[bool | None]) -> Outcome:
        value = balanced_accuracy([active for _, active in case.drawn.mixed(self.seed)], verdicts)
        return Outcome(value, NO_VERDICT if value is None else "")

    def _beside(self, drawn: Sequence[Drawn]) -> list[str]:
        return []


@dataclass(frozen=True)
class Fuzzing(Detection):
    """How well a judge that knows the label alone tells whether the concept is active on the unit that is marked in an
    excerpt: the balanced accuracy, mean over concepts. 0.5 for a judge that always says the same.

    Half of the marks are on units on which the concept is active. The others are on units on which it is not, of texts
    where it is active elsewhere as long as there are such units, so that it is not enough to recognise the text; the
    notes say how many these are. All else is as in `Detection`.

    Args:
        instructions: the system message; the form of the answer is added to it.

    Raises:
        InputError: a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, fuzzing scoring. Departs from it in that a single unit is marked.
    """

    definition: ClassVar[str] = (
        "mean over concepts of the balanced accuracy with which a judge tells by the label whether a concept is active "
        "on the unit that is marked"
    )
    marked: ClassVar[bool] = True

    instructions: str = FUZZING

    def _beside(self, drawn: Sequence[Drawn]) -> list[str]:
        inactive = [e for one in drawn for e in one.inactive]
        beside = sum(e.beside for e in inactive)
        return [f"Of {len(inactive)} wrong marks {beside} are in texts where the concept is active elsewhere."]


def check(examples: int, context: int, bins: int, seed: int) -> None:
    """Check what all scores have in common.

    Raises:
        InputError: a number is out of range.
    """
    if examples < 3 or bins < 1 or min(context, seed) < 0:
        raise InputError(
            f"examples={examples} must be at least 3, bins={bins} at least 1, context={context} and seed={seed} at "
            "least 0."
        )


def verdicts_in(said: Any, count: int) -> list[bool | None] | None:
    """The verdicts of an answer, None for one that says neither yes nor no; None if they are not `count`."""
    found = list_in(said, "verdicts", count)
    return None if found is None else [MEANT.get(str(one).strip().casefold()) for one in found]


def balanced_accuracy(truth: Sequence[bool], verdicts: Sequence[bool | None]) -> float | None:
    """The mean of the shares of right verdicts where the truth is True and where it is False.

    None if there is no verdict on more than half of the things, or on none of a sort.
    """
    pairs = [(t, v) for t, v in zip(truth, verdicts, strict=True) if v is not None]
    shares = []
    for sort in (True, False):
        own = [v is sort for t, v in pairs if t is sort]
        if not own or 2 * len(pairs) < len(truth):
            return None
        shares.append(sum(own) / len(own))
    return sum(shares) / 2
