"""Which interpretation and which importance belong to which concepts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interp_core.concepts import ConceptSpace, Importance, Interpretation
from interp_core.reporting._concept_cards import Group, Weights, class_group, group_of
from interp_core.reporting._contents import Contents


@dataclass(frozen=True)
class Joined:
    """What is known of the concepts of one space; a part is None where it is not known."""

    title: str
    space: ConceptSpace | None
    words: Interpretation | None
    importance: Importance | None


def groups_of(contents: Contents) -> list[Group]:
    """The concepts of a report, grouped by space."""
    groups = []
    for one in joined(contents):
        weights = None if one.importance is None else Weights.of(one.importance)
        groups.append(group_of(one.title, one.space, one.words, weights))
    if contents.class_concepts:
        groups.append(class_group(contents.class_concepts))
    return groups


def joined(contents: Contents) -> list[Joined]:
    """The spaces of a report, each with its words and its importance.

    An importance is joined with the first space and the first interpretation of the same number of concepts, preferably
    ones that are not joined yet. The rest stands on its own.
    """
    spaces, words, taken = list(contents.spaces), list(contents.interpretations), set[int]()
    groups = [
        Joined(_title(space, named, importance), space, named, importance)
        for importance, space, named in _joined(contents, taken)
    ]
    for unjoined in [w for w in words if id(w) not in taken]:
        space = _first([s for s in spaces if s.concepts >= _reach(unjoined)], taken)
        groups.append(Joined(_title(space, unjoined, None), space, unjoined, None))
    for left in [s for s in spaces if id(s) not in taken]:
        groups.append(Joined(_title(left, None, None), left, None, None))
    return groups


def words_for(importance: Importance, contents: Contents) -> Interpretation | None:
    """The interpretation that a report shows with an importance."""
    return next((words for one, _, words in _joined(contents, set()) if one is importance), None)


def _joined(contents: Contents, taken: set[int]) -> Iterator[tuple[Importance, Any, Any]]:
    for one in contents.importances:
        size = len(one.concepts)
        space = _first([s for s in contents.spaces if s.concepts == size], taken)
        exact = [w for w in contents.interpretations if _reach(w) == size]
        words = _first(exact or [w for w in contents.interpretations if _reach(w) < size], taken)
        yield one, space, words


def _reach(words: Interpretation) -> int:
    return max((c.concept + 1 for c in words.concepts), default=0)


def _first(fitting: list[Any], taken: set[int]) -> Any:
    first = next((v for v in fitting if id(v) not in taken), fitting[0] if fitting else None)
    taken |= {id(first)} if first is not None else set()
    return first


def _title(space: Any, words: Interpretation | None, importance: Importance | None) -> str:
    parts = [f"learnt by {space.made_by.method}"] if space is not None else []
    parts += [f"words by {words.made_by.method}"] if words is not None else []
    parts += [f"importance by {importance.made_by.method}"] if importance is not None else []
    return ", ".join(parts).capitalize()
