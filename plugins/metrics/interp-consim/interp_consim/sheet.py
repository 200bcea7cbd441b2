"""What a judge is told of a classifier, with its concepts or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

LONGEST = 1000  # characters of a text
CONCEPTS = "Concepts that are more active in the texts of a class than in others, with by how much, from 0 to 10:"
LEARNT = "Texts that the classifier has answered:"
EXAMINED = "Predict the class of each of these texts:"


@dataclass(frozen=True)
class Sheet:
    """The parts of what a judge is told.

    Attributes:
        classes: their names.
        texts: of the corpus.
        answers: of the model to each text.
        labels: of the c concepts.
        weights: by how much more active each is in the texts of each class.
        activity: of each concept in the texts that are used.
        row: where in `activity` a text is.
        top: how many concepts are named of a class or a text.
        form: `"global"`, `"learning"` or `"evaluation"`; `""` for no concepts at all.
    """

    classes: Sequence[str]
    texts: Sequence[str]
    answers: Int[np.ndarray, " m"]
    labels: Sequence[str]
    weights: Float[np.ndarray, "k c"]
    activity: Float[np.ndarray, "u c"]
    row: Mapping[int, int]
    top: int
    form: str

    def without_concepts(self) -> Sheet:
        """The same without a word of concepts."""
        return replace(self, form="")

    def lesson(self, learnt: Sequence[int]) -> str:
        """What comes before the texts that are examined."""
        parts = [f"Classes: {', '.join(self.classes)}"]
        if self.form:
            named = [f"- {c}: {self._strongest(w)}" for c, w in zip(self.classes, self.weights, strict=True)]
            parts.append("\n".join([CONCEPTS, *named]))
        if learnt:
            parts += [LEARNT, *(self._learnt(text) for text in learnt)]
        return "\n\n".join(parts)

    def examination(self, examined: Sequence[int]) -> str:
        """The texts that are examined, numbered."""
        told = self.form == "evaluation"
        lines = [
            f"{i}. {self._text(text)}" + (f"\n{self._concepts(text)}" if told else "")
            for i, text in enumerate(examined, start=1)
        ]
        return "\n".join([EXAMINED, *lines])

    def _learnt(self, text: int) -> str:
        concepts = [self._concepts(text)] if self.form in ("learning", "evaluation") else []
        answer = self.classes[int(self.answers[text])]
        return "\n".join([f"Text: {self._text(text)}", *concepts, f"Class: {answer}"])

    def _text(self, text: int) -> str:
        whole = " ".join(str(self.texts[text]).split()) or "(blank)"
        return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"

    def _concepts(self, text: int) -> str:
        return f"Concepts: {self._strongest(self.activity[self.row[text]])}"

    def _strongest(self, values: Float[np.ndarray, " c"]) -> str:
        """The labels of the concepts with the largest values; those that round to 0, or less, are left out."""
        order = [i for i in np.argsort(-values, kind="stable")[: self.top] if values[i] >= 0.05]
        return "; ".join(f"{self.labels[i]} ({values[i]:.1f})" for i in order) or "none"
