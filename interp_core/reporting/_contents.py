"""What a report is made of: the values given, sorted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from interp_core.activations import Activations
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace, Effect, Importance, Interpretation
from interp_core.errors import InputError
from interp_core.metrics import Benchmark, Score

SHOWN = "Attribution, ConceptSpace, Interpretation, Importance, Effect, ClassConcepts, Activations, Score and Benchmark"


@dataclass(frozen=True, eq=False)
class ClassConcepts:
    """The concepts of one class, where each class has a space of its own.

    Attributes:
        class_name: the class, one of the importance's targets unless that has a single one.
        space: what was learnt from the texts of the class.
        interpretation: the words for its concepts.
        importance: how much they matter to the class.

    Raises:
        InputError: the importance says nothing about the class.
    """

    class_name: str
    space: ConceptSpace | None
    interpretation: Interpretation | None
    importance: Importance

    def __post_init__(self) -> None:
        targets = self.importance.targets
        if self.class_name not in targets and len(targets) != 1:
            raise InputError(
                f"the importance is about {', '.join(targets)}; one of these, or a single target, was expected for "
                f"class {self.class_name!r}."
            )

    @property
    def row(self) -> int:
        """The row of the importance that is about the class."""
        targets = self.importance.targets
        return targets.index(self.class_name) if self.class_name in targets else 0

    @property
    def parts(self) -> list[Any]:
        """The values it holds."""
        return [v for v in (self.space, self.interpretation, self.importance) if v is not None]


KINDS = (
    Attribution,
    ConceptSpace,
    Interpretation,
    Importance,
    Effect,
    ClassConcepts,
    Activations,
    Score,
    Benchmark,
)


@dataclass
class Contents:
    """The values of a report, each kind in the order given."""

    attributions: list[Attribution] = field(default_factory=list)
    spaces: list[ConceptSpace] = field(default_factory=list)
    interpretations: list[Interpretation] = field(default_factory=list)
    importances: list[Importance] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    class_concepts: list[ClassConcepts] = field(default_factory=list)
    activations: list[Activations] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    benchmarks: list[Benchmark] = field(default_factory=list)

    @property
    def values(self) -> list[Any]:
        """All values, those that classes have of their own among them."""
        classwise = [part for one in self.class_concepts for part in one.parts]
        learnt = [*self.activations, *self.spaces, *self.interpretations, *self.importances, *self.effects, *classwise]
        return [*self.attributions, *learnt, *self.scores, *self.benchmarks]


def contents_of(results: Iterable[Any]) -> Contents:
    """The values sorted by kind; a value given twice counts once.

    Raises:
        InputError: something that cannot be shown, or nothing at all.
    """
    found = Contents()
    held = (
        found.attributions,
        found.spaces,
        found.interpretations,
        found.importances,
        found.effects,
        found.class_concepts,
        found.activations,
        found.scores,
        found.benchmarks,
    )
    places: list[tuple[type, list[Any]]] = list(zip(KINDS, held, strict=True))
    seen: set[int] = set()
    for value in _flat(results):
        place = next((several for kind, several in places if isinstance(value, kind)), None)
        if place is None:
            raise InputError(f"a report cannot show {type(value).__name__}; it shows {SHOWN}, and lists of these.")
        if id(value) not in seen:
            place.append(value)
        seen.add(id(value))
    if not seen:
        raise InputError(
            f"there is nothing to show: give at least one value. A report shows {SHOWN}, and lists of these."
        )
    return found


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
