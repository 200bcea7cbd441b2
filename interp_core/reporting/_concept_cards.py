"""The view of concepts: a ranking for each class, and a card for each concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from interp_core.concepts import ConceptSpace, Example, Importance, Interpretation, LabelledConcept
from interp_core.reporting._contents import ClassConcepts
from interp_core.reporting._formatting import count, number, share

RANKED = 10
MORE = 20
CARDS = 200
CONTEXT = 140
BOTH_WAYS = 0.25  # a direction below this share of the size counts as both ways


@dataclass(frozen=True)
class Bar:
    """A name with the length of its bar (from 0 to 1), its number, and which way it pushes."""

    name: str
    length: str
    text: str
    way: str = ""


@dataclass(frozen=True)
class Passage:
    """An example: the unit with the text before and after it, and the code of the concept there."""

    before: str
    unit: str
    after: str
    value: str


@dataclass(frozen=True)
class Card:
    """One concept."""

    key: str
    number: str
    title: str
    labelled: bool
    words: tuple[Bar, ...]
    passages: tuple[Passage, ...]
    classes: tuple[Bar, ...]
    trust: str
    note: str


@dataclass(frozen=True)
class Ranking:
    """The concepts of one class, most important first: a key and a bar for each."""

    name: str
    rows: tuple[tuple[str, Bar], ...]
    more: tuple[tuple[str, Bar], ...] = ()
    left_out: int = 0


@dataclass
class Group:
    """Concepts that are shown together."""

    title: str
    rankings: list[Ranking] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    named: bool = True
    measured: bool = True
    left_out: int = 0

    @property
    def directed(self) -> bool:
        """Whether a bar says which way its concept pushes."""
        return any(bar.way for ranking in self.rankings for _, bar in ranking.rows)


@dataclass(frozen=True)
class Weights:
    """How much concepts matter to targets; the direction is None if only sizes are known."""

    targets: tuple[str, ...]
    scores: Any
    direction: Any = None

    @classmethod
    def of(cls, importance: Importance) -> Weights:
        """The weights of an `Importance`."""
        return cls(importance.targets, importance.scores, importance.direction if importance.directed else None)

    def order(self, target: int, top: int) -> list[int]:
        """The concepts to list for a target, most important first: `top`, and some more that can be unfolded."""
        order: list[int] = self.scores[target].argsort(descending=True, stable=True)[: top + MORE].tolist()
        return order

    def way(self, target: int, concept: int) -> str:
        """`for`, `against`, `both`, or nothing if the direction is not known."""
        if self.direction is None:
            return ""
        size, push = float(self.scores[target, concept]), float(self.direction[target, concept])
        return "both" if abs(push) <= BOTH_WAYS * size else "for" if push > 0 else "against"

    def bar(self, name: str, target: int, concept: int, largest: float) -> Bar:
        """The bar of one concept for one target."""
        value = float(self.scores[target, concept])
        return Bar(name, share(value, largest), number(value), self.way(target, concept))


def group_of(
    title: str, space: ConceptSpace | None, words: Interpretation | None, weights: Weights | None, top: int = RANKED
) -> Group:
    """The concepts of one space, from those of the space, its words and its importance that are known."""
    named = space.names if space else []
    known = with_names({c.concept: c for c in words.concepts} if words else {}, named)
    total = max([space.concepts if space else 0, weights.scores.shape[1] if weights else 0, *(i + 1 for i in known)])
    group = Group(title, facts=facts_of(space), named=bool(known), measured=weights is not None)
    chosen: list[int] = []
    if weights is not None and weights.scores.numel():
        for k in range(len(weights.targets)):
            order = weights.order(k, top)
            group.rankings.append(_ranking(weights, k, order, known, top))
            chosen += [i for i in order if i not in chosen]
    if known:
        chosen += [i for i in known if i not in chosen]
        if weights is None:
            rows = tuple((str(i), Bar(title_of(known.get(i)), "", "")) for i in chosen[:CARDS])
            group.rankings.append(Ranking("", rows))
    group.left_out = total - min(len(chosen), CARDS)
    group.cards = [_card(str(i), i, known.get(i), weights) for i in chosen[:CARDS]]
    return group


def with_names(known: dict[int, LabelledConcept], names: Sequence[str]) -> dict[int, LabelledConcept]:
    """Concepts labelled with the names that their method gave them, such as those of classes."""
    own = {i: name for i, name in enumerate(names) if name != f"concept {i}"}
    return known | {i: replace(known.get(i, LabelledConcept(i, None)), label=name) for i, name in own.items()}


def class_group(classes: Sequence[ClassConcepts], top: int = RANKED) -> Group:
    """Classes with concepts of their own, under one row of buttons."""
    group = Group("A space of its own for each class")
    for place, one in enumerate(classes):
        known = {c.concept: c for c in one.interpretation.concepts} if one.interpretation else {}
        whole = Weights.of(one.importance)
        row = slice(one.row, one.row + 1)
        push = None if whole.direction is None else whole.direction[row]
        own = Weights((one.class_name,), whole.scores[row], push)
        add_class(group, place, own, known, top)
    return group


def add_class(group: Group, place: int, weights: Weights, known: dict[int, LabelledConcept], top: int) -> None:
    """Add a class with concepts of its own."""
    order = weights.order(0, top)
    ranking = _ranking(weights, 0, order, known, top, prefix=f"{place}-")
    group.rankings.append(ranking)
    group.cards += [_card(f"{place}-{i}", i, known.get(i), weights) for i in order]


def title_of(concept: LabelledConcept | None) -> str:
    """The label, or else why there is none, or else the first words, or else nothing."""
    if concept is None:
        return ""
    if concept.label is None and concept.note:
        return f"no label: {concept.note}"
    return concept.label or ", ".join(word.strip() or word for word, _ in concept.words[:5])


def _ranking(
    weights: Weights, target: int, order: list[int], known: dict[int, LabelledConcept], top: int, *, prefix: str = ""
) -> Ranking:
    largest = float(weights.scores[target].max()) if weights.scores.shape[1] else 0.0
    rows = tuple((f"{prefix}{i}", weights.bar(title_of(known.get(i)), target, i, largest)) for i in order)
    return Ranking(weights.targets[target], rows[:top], rows[top:], weights.scores.shape[1] - len(order))


def _card(key: str, place: int, concept: LabelledConcept | None, weights: Weights | None) -> Card:
    classes: tuple[Bar, ...] = ()
    if weights is not None and place < weights.scores.shape[1]:
        largest = float(weights.scores.max())
        classes = tuple(weights.bar(name, k, place, largest) for k, name in enumerate(weights.targets))
    labelled = concept or LabelledConcept(place, None)
    strongest = max((abs(s) for _, s in labelled.words), default=0.0)
    counted = any(s for _, s in labelled.words)
    return Card(
        key=key,
        number=f"Concept {place}",
        title=title_of(concept),
        labelled=labelled.label is not None,
        words=tuple(Bar(w, share(s, strongest), number(s) if counted else "") for w, s in labelled.words),
        passages=tuple(passage_of(e) for e in labelled.examples),
        classes=classes,
        trust="" if labelled.score is None else number(labelled.score),
        note=labelled.note if labelled.label else "",
    )


def passage_of(example: Example, context: int = CONTEXT) -> Passage:
    """The unit with at most so many characters on either side. A unit is cut at four times that length."""
    before, unit, after = (
        example.text[: example.start],
        example.text[example.start : example.stop],
        example.text[example.stop :],
    )
    if len(before) > context:
        before = "…" + before[-context:]
    if len(after) > context:
        after = after[:context] + "…"
    if len(unit) > 4 * context:
        unit = unit[: 4 * context] + "…"
    return Passage(before, unit, after, number(example.value))


def facts_of(space: ConceptSpace | None) -> list[tuple[str, str]]:
    if space is None:
        return []
    facts = [("Concepts", count(space.concepts, "direction")), ("Width", f"{space.width} numbers an activation")]
    facts += [("Learnt at", space.layer)] if space.layer else []
    return [*facts, ("Learnt by", space.made_by.method)]
