"""The `Interpretation` value: the meaning of concepts in words and examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_core.results import (
    MadeBy,
    Usage,
    Value,
    counted,
    for_json,
    load_json,
    quoted,
    save_json,
)

WIDTH = 60  # characters of an example in a terminal
SHOWN = 3  # examples of a concept


@dataclass(frozen=True)
class Example:
    """A unit of a text in which a concept is active.

    Attributes:
        text: the whole text.
        start: the offset of the first character of the unit.
        stop: the offset after its last character.
        value: the code of the concept in the unit.

    Examples:
        >>> from interp_core.concepts import Example
        >>> example = Example("so much rage today", 8, 12, 4.5)
        >>> example.text[example.start : example.stop]
        'rage'
    """

    text: str
    start: int
    stop: int
    value: float

    @classmethod
    def at(cls, activations: Activations, row: int, value: float) -> Example:
        """Make an example of the unit that a row of activations stands for.

        Args:
            activations: the corpus.
            row: the number of the row.
            value: the code of the concept in that row.

        Returns:
            The example.
        """
        unit = activations.unit(row)
        return cls(activations.texts[int(activations.text_of[row])], unit.start, unit.stop, value)

    def __str__(self) -> str:
        """The code, and the unit between « and » in its text, on one line of about 60 characters."""
        before, unit = self.text[: self.start], self.text[self.start : self.stop]
        room = max(0, WIDTH - len(unit)) // 2
        after = self.text[self.stop :][:room]
        start = f"{'…' * (len(before) > room)}{before[len(before) - room :] if room else ''}"
        shown = f"{start}«{unit[:WIDTH]}»{after}{'…' * (len(self.text) > self.stop + len(after))}"
        line = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
        return f"{self.value:.3g}  {line}"


@dataclass(frozen=True)
class LabelledConcept:
    """The interpretation of one concept.

    Attributes:
        concept: the number of the concept in the space, from 0.
        label: the name of the concept; None if no words were found or a language model failed.
        words: words that describe the concept, with their strengths, strongest first.
        examples: the units of the corpus where the concept is most active.
        score: how reliable the label is, on the scale of the method; None if the method does not say.
        note: why there is no label, or another remark for readers.
        confidence: how sure the labeller says it is, from 0 to 1; None if it does not say. It is not a measurement.
        rationale: the reason for the label, in the words of the labeller.
        shown: all units that the labeller saw, also where the concept is not active; a score of the label must come
            from other texts.

    Examples:
        >>> from interp_core.concepts import Example, LabelledConcept
        >>> LabelledConcept(3, "weather", (("rain", 4.1), ("sun", 3.2))).title
        'weather'
        >>> LabelledConcept(4, None, note="the concept is never active").title
        'concept 4'
        >>> print(LabelledConcept(3, "weather", examples=(Example("warm rain", 5, 9, 4.1),), confidence=0.9))
        Concept 3, weather (confidence 0.90)
          4.1  warm «rain»
    """

    concept: int
    label: str | None
    words: tuple[tuple[str, float], ...] = ()
    examples: tuple[Example, ...] = ()
    score: float | None = None
    note: str = ""
    confidence: float | None = None
    rationale: str = ""
    shown: tuple[Example, ...] = ()

    @property
    def title(self) -> str:
        """The label, or `concept` and the number of the concept if there is none."""
        return self.label or f"concept {self.concept}"

    @property
    def heading(self) -> str:
        """The number and the label, or the reason why there is none: `Concept 7, no label: the call failed`."""
        said = self.label or f"no label{': ' + self.note if self.note else ''}"
        return f"Concept {self.concept}, {said}"

    def __str__(self) -> str:
        """The heading, how sure it is, and the first words and examples, a line each."""
        sure = [f"confidence {self.confidence:.2f}"] if self.confidence is not None else []
        sure += [f"score {self.score:.3g}"] if self.score is not None else []
        lines = [self.heading + (f" ({', '.join(sure)})" if sure else "")]
        lines += [f"  {self.note}"] if self.label and self.note else []
        lines += [f"  words: {quoted([word for word, _ in self.words], most=5)}"] if self.words else []
        return "\n".join(lines + [f"  {example}" for example in self.examples[:SHOWN]])

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabelledConcept:
        """Read an interpretation of a concept from JSON values."""
        words = tuple((word, math.nan if strength is None else strength) for word, strength in data["words"])
        seen = {name: tuple(Example(**e) for e in data.get(name, ())) for name in ("examples", "shown")}
        return cls(**{**data, **seen, "words": words})


@dataclass(frozen=True, eq=False, repr=False)
class Interpretation(Value):
    """The interpretation of the concepts of a space: their labels, words and examples.

    Attributes:
        concepts: the interpreted concepts, each once.
        made_by: how the interpretation was made.
        notes: what a reader should know.
        usage: the calls and tokens of the language model that was asked; None if none was.

    Examples:
        >>> from interp_core.concepts import Interpretation, LabelledConcept
        >>> words = Interpretation((LabelledConcept(0, "weather"), LabelledConcept(7, None)))
        >>> words.labels
        {0: 'weather', 7: 'concept 7'}
        >>> words[0].label
        'weather'
    """

    SUFFIX: ClassVar[str] = ".json"
    concepts: tuple[LabelledConcept, ...]
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()
    usage: Usage | None = None

    def __getitem__(self, concept: int) -> LabelledConcept:
        """The concept of that number in words.

        Raises:
            InputError: the concept was not interpreted.
        """
        labelled = next((c for c in self.concepts if c.concept == concept), None)
        if labelled is None:
            raise InputError(f"concept {concept} was not interpreted; {[c.concept for c in self.concepts]} were.")
        return labelled

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[LabelledConcept]:
        return iter(self.concepts)

    @property
    def labels(self) -> dict[int, str]:
        """The title of each concept, by its number."""
        return {c.concept: c.title for c in self.concepts}

    def save(self, path: str | Path) -> Path:
        """Write the interpretation to a JSON file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        return save_json(path, "interpretation", asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Interpretation:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The interpretation.

        Raises:
            InputError: there is no such file, or it does not hold an interpretation.
        """
        data = load_json(path, "interpretation")
        try:
            return cls.from_json(data)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{str(path)!r} is not an interpretation: {type(error).__name__}: {error}") from error

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Interpretation:
        """Read an interpretation from JSON values."""
        concepts = tuple(map(LabelledConcept.from_json, data["concepts"]))
        usage = Usage(**data["usage"]) if data.get("usage") else None
        return cls(concepts, MadeBy.from_json(data["made_by"]), tuple(data["notes"]), usage)

    def one_line(self) -> str:
        """Describe the interpretation in less than a line, as its `repr` does."""
        silent = sum(concept.label is None for concept in self.concepts)
        without = f", {silent} without a label" if silent else ""
        titles = quoted([concept.title for concept in self.concepts if concept.label is not None])
        return f"{counted(len(self), 'concept')}{without}{': ' if titles else ''}{titles}, by {self.made_by.brief}"

    def summary(self) -> str:
        """Describe each concept in a line: its number, its label and how reliable that is, or why there is none."""
        lines = []
        for concept in self.concepts:
            score = "" if concept.score is None else f" ({concept.score:.2f})"
            doubt = f"  ({concept.note})" if concept.label and concept.note else ""
            said = concept.label or (f"no label: {concept.note}" if concept.note else "no words")
            lines.append(f"{concept.concept:>4}  {said}{score}{doubt}")
        return "\n".join([*lines, *self.notes, *([] if self.usage is None else [str(self.usage)])])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return for_json({**asdict(self), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each word of each concept; a concept without words has one row."""
        rows = [(c, word) for c in self.concepts for word in (c.words or ((None, None),))]
        return {
            "concept": [concept.concept for concept, _ in rows],
            "label": [concept.label for concept, _ in rows],
            "word": [word for _, (word, _) in rows],
            "strength": [strength for _, (_, strength) in rows],
            "note": [concept.note for concept, _ in rows],
        }
