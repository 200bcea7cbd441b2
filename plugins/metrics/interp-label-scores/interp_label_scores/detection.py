"""Whether a judge tells by its label where a concept is active: in which texts, or on which units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation
from interp_core.metrics import Score

from interp_label_scores.excerpts import Excerpt
from interp_label_scores.judging import DATA, Form, Prompt, list_in, listed, numbered
from interp_label_scores.sampling import FEWEST, Sampling, check_settings
from interp_label_scores.scoring import NO_VERDICT, Case, JudgedScore, Outcome, drawn_cases
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
WHOLE = (
    "Each mark holds all of its excerpt, since a row is a whole text or context is 0, so that this is detection: "
    "fuzzing needs rows of tokens or words, with context."
)
MEANT = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


def verdicts_in(said: Any, count: int) -> list[bool | None] | None:
    """The verdicts of an answer, None for one that says neither yes nor no; None if they are not `count`."""
    found = list_in(said, "verdicts", count)
    return None if found is None else [MEANT.get(str(one).strip().casefold()) for one in found]


@dataclass(frozen=True)
class Detection(JudgedScore):
    """How well a judge that knows the label alone tells excerpts on which a concept is active from others: the balanced
    accuracy, mean over concepts. 0.5 for a judge that always says the same.

    As many excerpts are active as are not. Where a concept is active, they come in equal parts from stretches of the
    ranking of its codes; where it is not, no code in the excerpt is above the threshold. None comes from a text that
    the labeller was shown. `Score.chance` is what the same judge makes of the same excerpts with labels permuted across
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
        threshold: a concept is active above this share of its largest code. 0 for all codes above 0; where codes are
            dense, so that a concept is above 0 nearly everywhere, 0.2 or so.

    Raises:
        InputError: a value of another type, or a number out of range.

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
    FORM: ClassVar[Form] = Form(REPLY, SCHEMA, verdicts_in)

    llm: Any = "openai"
    examples: int = 10
    per_prompt: int = 5
    context: int = 16
    bins: int = 10
    seed: int = 0
    permuted: bool = True
    cache: str | None = None
    instructions: str = DETECTION
    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, examples=FEWEST, per_prompt=1)

    def measure(self, interpretation: Interpretation, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all labels; `values` has one for each concept, NaN for one without a score.

        Raises:
            InputError: the activations do not fit, or the judge cannot be asked at all.
            UnsupportedError: there are no labels, or too few excerpts for all of them.
            LLMError: the judge gave no verdict on more than half of the excerpts of each concept.
        """
        sampling = Sampling(
            self.examples, self.examples, self.context, self.bins, self.seed, self.threshold, self.marked
        )
        cases, without, notes = drawn_cases(sampling, interpretation, space, activations, permuted=self.permuted)
        return self.asked(interpretation, cases, without, notes=[*notes, *self._mark_notes(cases)])

    def prompts(self, case: Case) -> list[Prompt]:
        """What the judge is asked about a case: its excerpts in random order, some at a time."""
        mixed = [excerpt for excerpt, _ in case.drawn.mixed(self.seed)]
        parts = [mixed[i : i + self.per_prompt] for i in range(0, len(mixed), self.per_prompt)]
        system = self.FORM.system(self.instructions)
        return [Prompt(system, f"Label: {case.label}\n\n{numbered(self._lines(part))}", len(part)) for part in parts]

    def _lines(self, excerpts: Sequence[Excerpt]) -> list[str]:
        return [excerpt.marked if self.marked else excerpt.plain for excerpt in excerpts]

    def outcome(self, case: Case, readings: Sequence[list[bool | None] | None]) -> Outcome:
        """The balanced accuracy of the verdicts."""
        sizes = [prompt.size for prompt in self.prompts(case)]
        verdicts = [v for said, size in zip(readings, sizes, strict=True) for v in said or [None] * size]
        value = balanced_accuracy([active for _, active in case.drawn.mixed(self.seed)], verdicts)
        return Outcome(value, NO_VERDICT if value is None else "")

    def _mark_notes(self, _cases: Sequence[Case]) -> list[str]:
        return []


@dataclass(frozen=True)
class Fuzzing(Detection):
    """How well a judge that knows the label alone tells whether the concept is active on the unit that is marked in an
    excerpt: the balanced accuracy, mean over concepts. 0.5 for a judge that always says the same.

    Half of the marks are on units on which the concept is active. The others are on units on which it is not, of texts
    where it is active elsewhere as long as there are such units, so that it is not enough to recognise the text; the
    notes say how many these are. All else is as in `Detection`. Where a row is a whole text, or `context` is 0, a mark
    holds all of its excerpt and the question is that of `Detection` too, which the notes say.

    Args:
        instructions: the system message; the form of the answer is added to it.

    Raises:
        InputError: a value of another type, or a number out of range.

    Source: Paulo et al. 2024, arXiv:2410.13928, fuzzing scoring. Departs from it in that a single unit is marked.
    """

    definition: ClassVar[str] = (
        "mean over concepts of the balanced accuracy with which a judge tells by the label whether a concept is active "
        "on the unit that is marked"
    )
    marked: ClassVar[bool] = True

    instructions: str = FUZZING

    def _mark_notes(self, cases: Sequence[Case]) -> list[str]:
        drawn = [case.drawn for case in cases if case.own]
        inactive = [e for one in drawn for e in one.inactive]
        beside = sum(e.beside for e in inactive)
        notes = [f"Of {len(inactive)} wrong marks {beside} are in texts where the concept is active elsewhere."]
        whole = all(e.marked == f"<<{e.plain}>>" for one in drawn for e in (*one.active, *one.inactive))
        return [*notes, WHOLE] if whole and drawn else notes


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
