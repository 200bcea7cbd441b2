"""What concepts mean: the `Interpretation` value and the `interpret` driver."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from interp_core.activations import Activations
from interp_core.concepts._compatibility import check_fits
from interp_core.concepts._space import ConceptSpace
from interp_core.display import html
from interp_core.errors import InputError, InterpWarning, ModelError
from interp_core.plugin import resolve
from interp_core.results import Cost, MadeBy, load_json, made_by, save_json


@dataclass(frozen=True)
class Example:
    """Where a concept is active: characters [start, stop) of a text, and how active it is there."""

    text: str
    start: int
    stop: int
    value: float


@dataclass(frozen=True)
class LabelledConcept:
    """One concept in words.

    Attributes:
        concept: its number in the space.
        label: what to call it; None when no words were found or a language model failed.
        words: the words that speak for it, with their strengths, strongest first.
        examples: units of the corpus where it is most active.
        score: how far the label is to be trusted, if the method says so.
        note: why there is no label, or what else a reader should know.
    """

    concept: int
    label: str | None
    words: tuple[tuple[str, float], ...] = ()
    examples: tuple[Example, ...] = ()
    score: float | None = None
    note: str = ""

    @property
    def title(self) -> str:
        """The label, or the number of the concept."""
        return self.label or f"concept {self.concept}"


@dataclass(frozen=True, eq=False)
class Interpretation:
    """The words for the concepts of a space."""

    SUFFIX: ClassVar[str] = ".json"
    concepts: tuple[LabelledConcept, ...]
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    def __getitem__(self, concept: int) -> LabelledConcept:
        """The words for the concept of that number."""
        found = next((c for c in self.concepts if c.concept == concept), None)
        if found is None:
            raise InputError(f"concept {concept} was not interpreted; {[c.concept for c in self.concepts]} were.")
        return found

    @property
    def labels(self) -> dict[int, str]:
        """The label of each concept."""
        return {c.concept: c.title for c in self.concepts}

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
        return save_json(path, "interpretation", asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Interpretation:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or one that holds something else.
        """
        data = load_json(path, "interpretation")
        try:
            concepts = tuple(_concept(c) for c in data["concepts"])
            return cls(concepts, MadeBy.from_json(data["made_by"]), tuple(data["notes"]))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{str(path)!r} holds no interpretation: {type(error).__name__}: {error}") from error

    def _repr_html_(self) -> str:
        return html(self)


def _concept(data: dict[str, Any]) -> LabelledConcept:
    words = tuple((word, strength) for word, strength in data["words"])
    return LabelledConcept(**{**data, "words": words, "examples": tuple(Example(**e) for e in data["examples"])})


def interpret(
    space: ConceptSpace,
    activations: Activations,
    *,
    by: Any = "top-inputs",
    concepts: Literal["all"] | Sequence[int] = "all",
    **parameters: Any,
) -> Interpretation:
    """Words for concepts.

    Args:
        space: the concepts.
        activations: the corpus they are looked up in; it need not be the one they were learnt from.
        by: the name of an interpretation method, or an instance.
        concepts: which concepts; all by default.
        **parameters: parameters of the method when `by` is a name.

    Raises:
        InputError: activations of another width, or concepts that are not there.
    """
    method = resolve(by, "interpretation", parameters, interpret)
    check_fits(space, activations)
    chosen = list(range(space.concepts)) if isinstance(concepts, str) else [int(i) for i in concepts]
    seen = space if isinstance(concepts, str) else space.only(chosen)
    cost = Cost()
    with cost.timed():
        found = method.interpret(seen, activations)
    if not isinstance(found, Interpretation) or [c.concept for c in found.concepts] != list(range(len(chosen))):
        raise ModelError(f"{type(method).__name__}.interpret must give one entry for each concept, in order.")
    numbered = tuple(replace(c, concept=chosen[c.concept]) for c in found.concepts)
    if not any(c.label for c in numbered):
        warnings.warn(
            f"none of {len(numbered)} concepts got a label. {' '.join(found.notes)}", InterpWarning, stacklevel=2
        )
    settings = {"rows": len(activations), "granularity": activations.granularity, "layer": activations.layer}
    made = made_by(method, cost, activations.made_by.model, settings)
    return Interpretation(numbered, made, found.notes)
