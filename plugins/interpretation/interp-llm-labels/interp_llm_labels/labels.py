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
    """Shows a language model where each concept is active, and takes its answer as the label.

    Every concept gets an entry with its examples, also if a call fails or an answer cannot be used: then the label is
    None and the note says why. How many were labelled, failed, malformed or without a pattern stands in the notes of
    the result. A concept that is positive nowhere is not asked about.

    Args:
        llm: the name of a method of kind `llm`, or an object with `generate(messages) -> str`; its `generate_each` or
            `generate_all` is used if it has one. The excerpts are sent to it.
        sampling: `"top"` shows where the concept is strongest; `"quantile"` as many examples from each of `bins` equal
            stretches of the ranking of the rows where it is positive, which also shows where it is weak; `"random"`
            any of these rows. The last two draw from at most 2,048 rows, each with the same chance.
        examples: how many different ones are shown at most.
        contrast: how many random rows are shown besides on which the concept is not active.
        context: units shown on either side, within the text; 0 for none. For units smaller than the text.
        strengths: show how strong the concept is in each excerpt.
        rationale: ask for a reason and a confidence too, as JSON, with a schema where the client takes one. The
            confidence is what the model says of itself, and no measurement.
        bins: stretches of the ranking, for `"quantile"`.
        seed: of the draws.
        max_words: longest label that is asked for. One of more than 15 characters a word is malformed.
        top: how many different units go into `words`, of those shown, strongest first.
        cache: folder in which answers are kept, so that a run that dies, or in which calls fail, asks only for the rest
            when it is repeated; None for none.
        instructions: the system message, a Jinja template of `words` (the longest label), `strengths`, `contrast` and
            `rationale`; `{words}` will do too. NONE is the answer for no pattern.
        excerpts: the message with the excerpts, a Jinja template of `active` and `contrast`, lists of items with `text`
            and `strength`, and of what `instructions` may use. Templates run in a sandbox.

    Raises:
        InputError: a value of another type, a number out of range, an unknown sampling, or a template that is not
            valid.

    Source: Bills et al. 2023, "Language models can explain neurons in language models", step 1; contrasting excerpts as
    in Paulo et al. 2024, arXiv:2410.13928. Departs from both in that the units are those of the activations, and that a
    label is asked for in place of a sentence. Nothing is simulated: the metrics of labels score them.
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
        """Called before anything is computed.

        Raises:
            InputError: the language model cannot be asked at all, such as for want of a key, unless answers in the
                cache may do without it.
        """
        check_ready(self.llm, cache=self.cache)

    def interpret(self, space: ConceptSpace, activations: Activations) -> Interpretation:
        """One label a concept.

        Raises:
            InputError: the language model cannot be asked at all, such as for want of a key.
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
