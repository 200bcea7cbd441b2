"""What the page holds of concepts: a table of all concepts of a space, and a line for the card of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from interp_core.concepts import ConceptCard, ConceptSpace, Example, Importance, Interpretation, LabelledConcept
from interp_core.reporting._concept_cards import Weights, facts_of, passage_of, title_of, with_names
from interp_core.reporting._contents import ClassConcepts, Contents
from interp_core.reporting._grouping import Joined, joined

FEW = 500  # concepts; of more, cards have fewer and shorter examples
EXAMPLES, CONTEXT = 10, 140
FEWER_EXAMPLES, LESS_CONTEXT = 3, 70
WORDS = 15
OF_A_TEXT = 6


@dataclass
class ConceptLines:
    """The concepts of a page: the table of each space, and the card of each concept in the same order."""

    groups: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        title: str,
        space: ConceptSpace | None,
        words: Interpretation | None,
        weights: Weights | None,
        cards: Mapping[int, ConceptCard] = MappingProxyType({}),
        *,
        several: bool = False,
    ) -> None:
        """Add the concepts of a space, from those of its parts that are known."""
        rows = list(_rows(space, words, weights, cards))
        self.groups.append(_group(title, facts_of(space), rows, weights, words))
        self.lines += [_card(concept, weights, cards.get(concept.concept), several) for concept in rows]

    def add_classes(self, classes: Sequence[tuple[ConceptSpace | None, Interpretation | None, Weights]]) -> None:
        """Add the concepts of single classes as one table; the one target of each weights is the class."""
        several = sum(weights.scores.shape[1] for _, _, weights in classes) > FEW
        numbers: list[int] = []
        titles, names, importance, ways = [list[Any]() for _ in range(4)]
        for space, words, weights in classes:
            for concept in _rows(space, words, weights, {}):
                numbers.append(concept.concept)
                titles.append(title_of(concept))
                names.append(weights.targets[0])
                importance.append(_score(weights, 0, concept.concept))
                ways.append(_way(weights, 0, concept.concept))
                self.lines.append(_card(concept, weights, None, several))
        self.groups.append(
            {
                "title": "A space of its own for each class",
                "facts": [],
                "targets": ["its class"],
                "named": any(titles),
                "measured": True,
                "directed": any(ways),
                "classes": names,
                "numbers": numbers,
                "titles": titles,
                "importance": [importance],
                "ways": [ways],
            }
        )


def concept_lines(contents: Contents) -> ConceptLines:
    """The spaces of a report, and those of single classes as one more."""
    found, parts = ConceptLines(), joined(contents)
    several = sum(_size(one) for one in parts) > FEW
    for one in parts:
        cards = next((cards for cards, words in contents.cards if words is one.words), None)
        known = {} if cards is None else {card.concept: card for card in cards.cards}
        weights = None if one.importance is None else Weights.of(one.importance)
        found.add(one.title, one.space, one.words, weights, known, several=several)
    if contents.class_concepts:
        found.add_classes([_of_class(one) for one in contents.class_concepts])
    return found


def _of_class(one: ClassConcepts) -> tuple[ConceptSpace | None, Interpretation | None, Weights]:
    whole = Weights.of(one.importance)
    row = slice(one.row, one.row + 1)
    push = None if whole.direction is None else whole.direction[row]
    return one.space, one.interpretation, Weights((one.class_name,), whole.scores[row], push)


def concepts_of_texts(contents: Contents, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """For each text the concepts that matter most in it, where an importance and its corpus are shown.

    Args:
        contents: the values of the report.
        texts: the texts of its attributions.

    Returns:
        For each text and each importance that knows it: the number of its space, and for each target pairs of a concept
        and its contribution.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in texts]
    for group, one in enumerate(joined(contents)):
        rows = {} if one.importance is None else _rows_of_texts(one.importance, contents)
        for held, text in zip(found, texts, strict=True):
            if text in rows and one.importance is not None:
                scores = one.importance.per_text[rows[text]]
                tops = scores.abs().topk(min(OF_A_TEXT, scores.shape[1]), dim=1).indices.tolist()
                strongest = {
                    name: [[i, float(scores[k, i])] for i in tops[k]] for k, name in enumerate(one.importance.targets)
                }
                held.append({"group": group, "targets": strongest, "directed": one.importance.directed})
    return found


def _rows_of_texts(importance: Importance, contents: Contents) -> Mapping[str, int]:
    corpora = [tuple(a.texts) for a in contents.activations if len(a.texts) == len(importance.per_text)]
    if len(set(corpora)) != 1:  # of several, which one it is about is not known
        return {}
    return {text: row for row, text in enumerate(corpora[0])}


def _size(one: Joined) -> int:
    known = [] if one.words is None else [concept.concept + 1 for concept in one.words.concepts]
    space = 0 if one.space is None else one.space.concepts
    return max([space, 0 if one.importance is None else len(one.importance.concepts), *known])


def _rows(
    space: ConceptSpace | None, words: Interpretation | None, weights: Weights | None, cards: Mapping[int, ConceptCard]
) -> Iterator[LabelledConcept]:
    """All concepts, those in words with these."""
    known = with_names({c.concept: c for c in words.concepts} if words else {}, space.names if space else [])
    if space is None and weights is None:  # those that were put into words are all that is known
        yield from (known[i] for i in sorted(known))
        return
    measured = weights.scores.shape[1] if weights else 0
    total = max([space.concepts if space else 0, measured, *(i + 1 for i in (*known, *cards))])
    for i in range(total):
        yield known.get(i, LabelledConcept(i, None))


def _group(
    title: str,
    facts: list[tuple[str, str]],
    rows: Sequence[LabelledConcept],
    weights: Weights | None,
    words: Interpretation | None,
) -> dict[str, Any]:
    targets = [] if weights is None else list(weights.targets)
    return {
        "title": title,
        "facts": facts,
        "targets": targets,
        "named": words is not None or any(one.label for one in rows),
        "measured": weights is not None,
        "directed": weights is not None and weights.direction is not None,
        "classes": None,
        "numbers": [one.concept for one in rows],
        "titles": [title_of(one) for one in rows],
        "importance": [[_score(weights, k, one.concept) for one in rows] for k in range(len(targets))],
        "ways": [[_way(weights, k, one.concept) for one in rows] for k in range(len(targets))],
    }


def _score(weights: Weights | None, target: int, concept: int) -> float | None:
    if weights is None or concept >= weights.scores.shape[1]:
        return None
    return float(f"{float(weights.scores[target, concept]):.9g}")


def _way(weights: Weights | None, target: int, concept: int) -> str:
    return "" if weights is None or concept >= weights.scores.shape[1] else weights.way(target, concept)


def _card(concept: LabelledConcept, weights: Weights | None, card: ConceptCard | None, several: bool) -> dict[str, Any]:
    most, context = (FEWER_EXAMPLES, LESS_CONTEXT) if several else (EXAMPLES, CONTEXT)
    place = concept.concept
    line: dict[str, Any] = {
        "number": place,
        "title": title_of(concept),
        "labelled": concept.label is not None,
        "note": concept.note if concept.label else "",
        "trust": concept.score,
        "confidence": concept.confidence,
        "rationale": concept.rationale,
        "words": [[word, strength] for word, strength in concept.words[:WORDS]],
        "passages": _passages(concept.examples[:most], context),
    }
    if weights is not None and place < weights.scores.shape[1]:
        pairs = enumerate(weights.targets)
        line["classes"] = [[name, _score(weights, k, place), weights.way(k, place)] for k, name in pairs]
    if card is not None:
        line |= _known(card, most, context)
    return line


def _known(card: ConceptCard, most: int, context: int) -> dict[str, Any]:
    """What a card knows beyond words and importance."""
    return {
        "active": card.active,
        "largest": card.largest,
        "counts": list(card.counts),
        "raised": list(card.raised),
        "lowered": list(card.lowered),
        "nearest": list(card.nearest),
        "stretches": [[name, _passages(examples[:most], context)] for name, examples in card.stretches],
        "effect": [[name, mean, interval] for name, (mean, interval) in card.effect.items()],
        "scores": [[name, value] for name, value in card.scores.items()],
        "by_class": [[name, title_of(one)] for name, one in card.by_class.items()],
    }


def _passages(examples: Sequence[Example], context: int) -> list[list[Any]]:
    found = []
    for example in examples:
        passage = passage_of(example, context)
        found.append([passage.before, passage.unit, passage.after, example.value])
    return found
