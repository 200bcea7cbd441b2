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
    """Detection: the balanced accuracy of a judge that tells by the label on which excerpts a concept is active.

    As many excerpts are active as are not. Where the concept is active, they come in equal parts from `bins` parts of
    the ranking of its codes; where it is not, no code in the excerpt is above the threshold. None comes from a text
    that the labeller was shown.

    The value is the mean over concepts, from 0 to 1, and higher is better; 0.5 for a judge that always gives the same
    answer. `Score.chance` is the value with labels permuted across concepts. It need not be 0.5: where each text has
    one topic, the label of another topic is worse than none. The cost is one call of the judge for every `per_prompt`
    excerpts, twice with `permuted`.

    Answers that fail or cannot be read are counted in the notes and left out. A concept has no score, and is counted,
    if it has no label, if fewer than three active or three other excerpts are left for it, or if there is no verdict on
    more than half of its excerpts; its entry in `values` is NaN.

    Args:
        llm: the judge: the name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts
            are sent to it.
        examples: number of active excerpts for each concept, and of others; at least 3.
        per_prompt: number of excerpts judged in one conversation, at least 1.
        context: number of units shown on either side, within the text; at least 0.
        bins: number of parts of the ranking, at least 1.
        seed: random seed of the draws and the permutation.
        permuted: judge permuted labels too, which doubles the cost.
        cache: folder in which answers are kept, so that an interrupted run goes on; None for none.
        instructions: the system message; the form of the answer is added to it.
        threshold: share of the largest code of a concept, at least 0 and below 1, above which it is active. 0 for all
            positive codes; where codes are dense, so that a concept is positive nearly everywhere, 0.2 or so.

    Raises:
        InputError: a value has another type, or a number is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.concepts import Interpretation, LabelledConcept
        >>> from interp_core.testing import topic_world
        >>> from interp_label_scores.word_judge import WordJudge
        >>> activations, space = topic_world()  # each concept is one of three topics
        >>> said = ("sun, rain, warm or cold", "cat, dog, tree or house", "happy, glad, calm or good")
        >>> labels = Interpretation(tuple(LabelledConcept(i, label) for i, label in enumerate(said)))
        >>> interp.measure(labels, space, activations, by="detection", llm=WordJudge()).value
        1.0

    Source:
        Paulo et al. 2024, arXiv:2410.13928, detection scoring. Departs from it in that excerpts end with the text or
        after `context` units, that they are balanced, and that texts the labeller was shown are left out.
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
        """Measure the balanced accuracy of the judge for each label.

        Returns:
            One number for all labels; `values` has one for each concept, NaN for one without a score.

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
    """Fuzzing: the balanced accuracy of a judge that tells by the label whether a concept is active on a unit.

    One unit of each excerpt is marked. Half of the marks are on units where the concept is active. The others are on
    units where it is not, in texts where it is active elsewhere as long as there are such units, so that recognising
    the text is not enough; the notes say how many these are. Where a row is a whole text, or `context` is 0, the mark
    holds all of the excerpt and the question is that of `Detection`, which the notes say.

    The value is the mean over concepts, from 0 to 1, and higher is better; 0.5 for a judge that always gives the same
    answer. All else is as in `Detection`.

    Args:
        llm: the judge: the name of a method of kind `llm`, or an object with `generate(messages) -> str`. The excerpts
            are sent to it.
        examples: number of active excerpts for each concept, and of others; at least 3.
        per_prompt: number of excerpts judged in one conversation, at least 1.
        context: number of units shown on either side, within the text; at least 0.
        bins: number of parts of the ranking, at least 1.
        seed: random seed of the draws and the permutation.
        permuted: judge permuted labels too, which doubles the cost.
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
        >>> said = ("sun, rain, warm or cold", "cat, dog, tree or house", "happy, glad, calm or good")
        >>> labels = Interpretation(tuple(LabelledConcept(i, label) for i, label in enumerate(said)))
        >>> interp.measure(labels, space, activations, by="fuzzing", llm=WordJudge()).value
        1.0

    Source:
        Paulo et al. 2024, arXiv:2410.13928, fuzzing scoring. Departs from it in that a single unit is marked.
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
