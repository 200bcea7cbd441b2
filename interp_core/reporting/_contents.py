"""The contents of a report: values sorted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Attribution, StoredAttributions
from interp_core.concepts import ConceptCards, ConceptSpace, Effect, Importance, Interpretation
from interp_core.errors import InputError
from interp_core.metrics import Benchmark, Score
from interp_core.results import MadeBy, Value, counted, load_result, load_tensors, save_tensors

MOST = 5_000  # texts of a folder on a page
PARTS = ("space", "interpretation", "importance")  # of the concepts of one class
SHOWN = (
    "Attribution, ConceptSpace, Interpretation, ConceptCards, Importance, Effect, ClassConcepts, Activations, Score, "
    "Benchmark, other values of packages as tables"
)


@dataclass(frozen=True, eq=False, repr=False)
class ClassConcepts(Value):
    """The concepts of one class, for reports in which each class has a concept space of its own.

    Attributes:
        class_name: the class. It is one of the targets of `importance`, unless there is only one target.
        space: the concepts learnt from the texts of the class, if they are to be shown.
        interpretation: these concepts in words, if known.
        importance: how much they matter to the class.

    Raises:
        InputError: there is no importance; or it has several targets, and the class is not one of them.

    Examples:
        >>> from interp_core.concepts import Importance
        >>> from interp_core.reporting import ClassConcepts, plot_concepts
        >>> from interp_core.results import MadeBy
        >>> importance = Importance(torch.ones(1, 2, 3), ("anger", "joy"), ("a", "b", "c"), MadeBy("occlusion"))
        >>> joy = ClassConcepts("joy", None, None, importance)
        >>> joy.row
        1
        >>> "joy" in plot_concepts([joy]).html
        True
    """

    class_name: str
    space: ConceptSpace | None
    interpretation: Interpretation | None
    importance: Importance

    def __post_init__(self) -> None:
        if not isinstance(self.importance, Importance):
            raise InputError(
                f"the importance of class {self.class_name!r} is {type(self.importance).__name__}; an Importance was "
                "expected, as interp.importance returns it."
            )
        targets = self.importance.targets
        if self.class_name not in targets and len(targets) != 1:
            raise InputError(
                f"the targets of the importance are {', '.join(targets)}, and class {self.class_name!r} is not one of "
                "them; give one of these, or an importance with a single target."
            )

    @property
    def row(self) -> int:
        """The index of the class among the targets of the importance."""
        targets = self.importance.targets
        return targets.index(self.class_name) if self.class_name in targets else 0

    @property
    def parts(self) -> list[Any]:
        """The values that are not None: space, interpretation and importance."""
        return [v for v in (self.space, self.interpretation, self.importance) if v is not None]

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file, which holds the files of the parts as bytes.

        Args:
            path: the file, which ends in `.safetensors`; its folder is created if necessary.

        Returns:
            The path of the file.

        Raises:
            InputError: the file ends in another way.
            UnsupportedError: the space is a view of some of its concepts.
        """
        parts = {name: getattr(self, name) for name in PARTS}
        with TemporaryDirectory() as folder:
            files = {
                name: part.save(Path(folder) / f"{name}{getattr(part, 'SUFFIX', '.safetensors')}")
                for name, part in parts.items()
                if part is not None
            }
            tensors = {f.name: torch.frombuffer(bytearray(f.read_bytes()), dtype=torch.uint8) for f in files.values()}
        return save_tensors(path, "class-concepts", tensors, {"class_name": self.class_name})

    @classmethod
    def load(cls, path: str | Path) -> ClassConcepts:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The concepts of the class.

        Raises:
            InputError: there is no such file, or it does not hold the concepts of a class.
            BrokenPluginError: the package of the concept space no longer has its class.
        """
        tensors, data = load_tensors(path, "class-concepts")
        parts: dict[str, Any] = dict.fromkeys(PARTS)
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # tensors stay mapped from these files
            for name, held in tensors.items():
                file = Path(folder) / Path(name).name  # a name is not a way out of the folder
                file.write_bytes(held.numpy().tobytes())
                parts[file.stem] = load_result(file)
        if set(parts) != set(PARTS) or not isinstance(parts["importance"], Importance):
            raise InputError(f"{str(path)!r} does not hold the concepts of a class but {', '.join(tensors)}.")
        return cls(data["class_name"], **parts)

    def one_line(self) -> str:
        """What is known of the class, in less than a line."""
        count, made = len(self.importance.concepts), self.importance.made_by.brief
        return f"{self.class_name!r}, {counted(count, 'concept')}, importance by {made}"

    def summary(self) -> str:
        """The concepts that matter most to the class, in words if these are known."""
        words = self.interpretation.labels if self.interpretation is not None else {}
        lines = [f"{v:.3f}  {words.get(i, self.importance.concepts[i])}" for i, v in self.importance.top(self.row)]
        return "\n".join([f"{self.class_name}:", *lines])

    def to_json(self) -> dict[str, Any]:
        """The parts as JSON values; None for those that are not known."""
        parts = {name: None if (part := getattr(self, name)) is None else part.to_json() for name in PARTS}
        return {"class_name": self.class_name, **parts}

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """One row for each concept, those that matter most first."""
        words = self.interpretation.labels if self.interpretation is not None else {}
        tops = self.importance.top(self.row, len(self.importance.concepts))
        return {
            "class": [self.class_name] * len(tops),
            "concept": [self.importance.concepts[i] for i, _ in tops],
            "label": [words.get(i) for i, _ in tops],
            "importance": [value for _, value in tops],
        }


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
    """The values of a report, each kind in its original order.

    Attributes:
        others: values of packages, which are shown as tables.
        cards: what else is known of concepts, with the interpretation that it is known of.
    """

    attributions: list[Attribution] = field(default_factory=list)
    spaces: list[ConceptSpace] = field(default_factory=list)
    interpretations: list[Interpretation] = field(default_factory=list)
    importances: list[Importance] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    class_concepts: list[ClassConcepts] = field(default_factory=list)
    activations: list[Activations] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    benchmarks: list[Benchmark] = field(default_factory=list)
    others: list[Value] = field(default_factory=list)
    cards: list[tuple[ConceptCards, Interpretation]] = field(default_factory=list)

    @property
    def values(self) -> list[Any]:
        """All values, including those of single classes."""
        others = [value for value in self.others if isinstance(getattr(value, "made_by", None), MadeBy)]
        return [*self.attributions, *self.learnt, *self.scores, *self.benchmarks, *others]

    @property
    def learnt(self) -> list[Any]:
        """What is known of concepts, including those of single classes."""
        classwise = [part for one in self.class_concepts for part in one.parts]
        return [*self.activations, *self.spaces, *self.interpretations, *self.importances, *self.effects, *classwise]


def contents_of(results: Iterable[Any]) -> Contents:
    """The values sorted by kind; a value given twice counts once.

    Raises:
        InputError: there are no values, or one of them is of a kind that a report cannot show.
    """
    contents = Contents()
    lists = (
        contents.attributions,
        contents.spaces,
        contents.interpretations,
        contents.importances,
        contents.effects,
        contents.class_concepts,
        contents.activations,
        contents.scores,
        contents.benchmarks,
        contents.others,
    )
    places: list[tuple[type, list[Any]]] = list(zip((*KINDS, Value), lists, strict=True))
    seen: set[int] = set()
    for given in _flat(results):
        value: Any = given
        if isinstance(given, ConceptCards) and id(given) not in seen:
            seen.add(id(given))
            value = given.interpretation
            contents.cards.append((given, value))
        place = next((several for kind, several in places if isinstance(value, kind)), None)
        if place is None:
            raise InputError(f"a report cannot show {type(value).__name__}; it shows {SHOWN}, and lists of these.")
        if id(value) not in seen:
            place.append(value)
        seen.add(id(value))
    if not seen:
        raise InputError(
            f"there is nothing to show; give at least one value. A report shows {SHOWN}, and lists of these."
        )
    return contents


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        elif isinstance(value, StoredAttributions):
            if len(value) > MOST:
                raise InputError(
                    f"a page of {len(value):,} texts would be too large; show some of them, such as attributions[:200]."
                )
            yield from value
        else:
            yield value
