"""A language model names each concept from where it is active."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Example, Interpretation, LabelledConcept
from interp_core.errors import InputError, unknown
from interp_core.plugin import check_fields
from interp_llm.answer import DryRunError
from interp_llm.asking import ask, check_ready
from interp_llm.reading import spoken

from interp_llm_labels.answers import NOT_READ, SCHEMA, Reading, fault_of, json_like, reading_of
from interp_llm_labels.examples import Choice, Chosen, line
from interp_llm_labels.prompts import EXCERPTS, INSTRUCTIONS, messages_of, shown_as, template_of

Kind = Literal["labelled", "patternless", "malformed", "refused", "failed", "inactive", "dry"]
SAMPLINGS = ("top", "quantile", "random")
REFUSED = "refused by the content filter"  # what clients say


@dataclass(frozen=True)
class LLMLabels:
    """LLM labels: a language model names each concept after being shown where it is active.

    Every concept has an entry with its examples, also where a call fails or an answer cannot be used: the label is then
    None and the note says why. The notes of the result count the concepts that were labelled, failed, malformed or
    without a pattern. A concept that is never positive is not asked about. The cost is one call of the language model
    for each concept, on up to `examples` + `contrast` excerpts, and one encoding of the activations.

    Args:
        llm: the name of a method of kind `llm`, or an object with `generate(messages) -> str`; its `generate_each` or
            `generate_all` is used if it has one. The excerpts are sent to it.
        sampling: which rows are shown. `"top"` shows those where the concept is strongest; `"quantile"` as many from
            each of `bins` equal parts of the ranking of the rows where it is positive, hence also rows where it is
            weak; `"random"` any of these rows. The last two draw from at most 2,048 rows with equal probability.
        examples: maximum number of different excerpts shown, at least 1.
        contrast: number of random rows shown as well on which the concept is not active; 0 for none.
        context: number of units shown on either side, within the text; 0 for none. For units smaller than the text.
        strengths: show how strong the concept is in each excerpt.
        rationale: ask also for a reason and a confidence, as JSON, with a schema where the client takes one. The
            confidence is the model's own statement, not a measurement.
        bins: number of parts of the ranking for `"quantile"`, at least 1.
        seed: random seed of the draws, at least 0.
        max_words: longest label that is asked for, in words, at least 1. A label of more than 15 characters a word is
            malformed.
        top: maximum number of different units in `words`, of those shown, strongest first.
        cache: folder in which answers are kept, so that a run that was interrupted, or in which calls failed, asks only
            for the rest when it is repeated; None for none.
        instructions: the system message, a Jinja template of `words` (the longest label), `strengths`, `contrast` and
            `rationale`; `{words}` works too. The answer for no pattern is NONE.
        excerpts: the message with the excerpts, a Jinja template of `active` and `contrast`, lists of items with `text`
            and `strength`, and of all that `instructions` may use. Templates run in a sandbox.

    Raises:
        InputError: a value has another type, a number is out of range, `sampling` is unknown, or a template is not
            valid.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import topic_world
        >>> class Scripted:  # any object with `generate`
        ...     def generate(self, messages):
        ...         return "cold weather" if "cold" in messages[-1]["content"] else "something else"
        >>> activations, space = topic_world(texts=30)
        >>> found = interp.interpret(space, activations, by="llm-labels", llm=Scripted())
        >>> found.labels
        {0: 'cold weather', 1: 'something else', 2: 'something else'}

    Source:
        Bills et al. 2023, "Language models can explain neurons in language models", step 1; excerpts for contrast as in
        Paulo et al. 2024, arXiv:2410.13928. Departs from both in that the units are those of the activations, and that
        a label is asked for in place of a sentence. Nothing is simulated: the metrics of labels score them.
    """

    llm: Any = "openai"
    sampling: str = "top"
    examples: int = 20
    contrast: int = 0
    context: int = 0
    strengths: bool = True
    rationale: bool = False
    bins: int = 5
    seed: int = 0
    max_words: int = 8
    top: int = 5
    cache: str | None = None
    instructions: str = INSTRUCTIONS
    excerpts: str = EXCERPTS

    def __post_init__(self) -> None:
        check_fields(self)
        if self.sampling not in SAMPLINGS:
            raise InputError(unknown("sampling", self.sampling, SAMPLINGS))
        low = min(self.context, self.contrast, self.top, self.seed)
        if min(self.examples, self.bins, self.max_words) < 1 or low < 0:
            raise InputError(
                f"examples={self.examples}, bins={self.bins} and max_words={self.max_words} must be at least 1, "
                f"context={self.context}, contrast={self.contrast}, top={self.top} and seed={self.seed} at least 0."
            )
        for source in (self.instructions, self.excerpts):
            template_of(source)

    def ready(self) -> None:
        """Check, before anything is computed, that the language model can be asked.

        Raises:
            InputError: it cannot be asked at all, such as for lack of a key, unless answers in the cache may suffice.
        """
        check_ready(self.llm, cache=self.cache)

    def interpret(self, space: ConceptSpace, activations: Activations) -> Interpretation:
        """Label every concept of the space.

        Returns:
            One label for each concept, or None with a note; with the cost of the calls.

        Raises:
            InputError: the language model cannot be asked at all, such as for lack of a key.
        """
        choice = Choice(self.sampling, self.examples, self.contrast, self.context, self.bins, self.seed)
        chosen = choice.of(space, activations)
        asked = [c for c, one in enumerate(chosen) if len(one.rows)]
        prompts = [self._prompt(chosen[c], activations) for c in asked]
        said = ask(self.llm, prompts, cache=self.cache, schema=SCHEMA if self.rationale else None)
        answers = dict(zip(asked, said.answers, strict=True))
        outcomes = [self._outcome(answers[c]) if c in answers else INACTIVE for c in range(space.concepts)]
        labelled = (
            self._labelled(c, outcome, chosen[c] if c in answers else None, activations)
            for c, outcome in enumerate(outcomes)
        )
        notes = [_summary(outcomes)]
        if said.usage.dry:
            notes.append(f"The first prompt reads: {' '.join(one['content'] for one in prompts[0])}")
        return Interpretation(tuple(labelled), notes=tuple(notes), usage=said.usage)

    def _prompt(self, chosen: Chosen, activations: Activations) -> list[dict[str, str]]:
        rows, silent = chosen.rows.tolist(), [row for row, _ in chosen.silent]
        lines, others = ([line(activations, row, self.context) for row in part] for part in (rows, silent))
        values = {
            "active": shown_as(lines, (10 * chosen.codes / chosen.peak).tolist()),
            "contrast": shown_as(others, [0.0] * len(others)),
            "words": self.max_words,
            "strengths": self.strengths,
            "rationale": self.rationale,
        }
        return messages_of(self.instructions, self.excerpts, values, marked=self.context > 0)

    def _outcome(self, answer: object) -> Outcome:
        if isinstance(answer, DryRunError):
            return Outcome("dry", "a dry run: nothing was asked")
        if isinstance(answer, Exception):
            refused = REFUSED in str(answer)
            return Outcome("refused", REFUSED) if refused else Outcome("failed", f"the call failed: {answer}")
        said = str(answer)
        reading = reading_of(said, self.max_words)
        if reading.nothing:
            return Outcome("patternless", "the language model found nothing in common", replace(reading, label=""))
        fault = fault_of(reading.label, self.max_words)
        if not reading.label and json_like(said):
            fault = NOT_READ
        if fault and said.strip() and not spoken(said):
            fault = "it broke off within a thought; allow more tokens"
        cut = "the answer was cut off at the most tokens that the client allows." if _cut(answer) else ""
        return (
            Outcome("malformed", f"the answer was malformed: {fault}") if fault else Outcome("labelled", cut, reading)
        )

    def _labelled(
        self, concept: int, outcome: Outcome, chosen: Chosen | None, activations: Activations
    ) -> LabelledConcept:
        if chosen is None:
            return LabelledConcept(concept, None, note=outcome.note)
        pairs = zip(chosen.rows.tolist(), chosen.codes.tolist(), strict=True)
        examples = tuple(Example.at(activations, row, value) for row, value in pairs)
        silent = tuple(Example.at(activations, row, value) for row, value in chosen.silent)
        words: dict[str, float] = {}
        for example in examples:
            words.setdefault(example.text[example.start : example.stop], example.value)
        return LabelledConcept(
            concept,
            outcome.reading.label or None,
            tuple(words.items())[: self.top],
            examples,
            note=outcome.note,
            confidence=outcome.reading.confidence,
            rationale=outcome.reading.rationale,
            shown=examples + silent,
        )


@dataclass(frozen=True)
class Outcome:
    """How one concept fared."""

    kind: Kind
    note: str
    reading: Reading = Reading("")  # noqa: RUF009 - frozen


INACTIVE = Outcome("inactive", "positive on no row, so the language model was not asked")


def _cut(answer: object) -> bool:
    return getattr(answer, "finish_reason", "") == "length"


def _summary(outcomes: Sequence[Outcome]) -> str:
    """How many concepts fared how, and the first failure in its own words."""
    count = Counter(outcome.kind for outcome in outcomes)
    first = next((o.note.partition(": ")[2] for o in outcomes if o.kind == "failed"), "")
    others = (
        (count["patternless"], "without a common pattern", ""),
        (count["malformed"], "malformed answers", ""),
        (count["refused"], REFUSED, ""),
        (count["failed"], "failed calls", f" ({first})"),
        (count["inactive"], "never active and not asked about", ""),
        (count["dry"], "not asked about in a dry run", ""),
    )
    parts = (f"; {what}: {number}{why}" for number, what, why in others if number)
    return f"{count['labelled']} of {len(outcomes)} concepts labelled{''.join(parts)}."
