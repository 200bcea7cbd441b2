"""Interpretations of a space for each class, joined into one whose labels say the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from interp_core.concepts._interpretation import Example, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.results import Usage


def interpretations_of(words: Any) -> tuple[list[Interpretation], list[str]]:
    """The interpretations that a caller gives, and the class of each; one that is given alone has the class `""`.

    Raises:
        InputError: something is no interpretation, or several are given and do not each name a class of their own.
    """
    if words is None or isinstance(words, Interpretation):
        return ([], []) if words is None else ([words], [""])
    if not isinstance(words, Mapping | Sequence) or isinstance(words, str):
        raise _expected(words)
    several = list(words.values()) if isinstance(words, Mapping) else list(words)
    for one in several:
        if not isinstance(one, Interpretation):
            raise _expected(one)
    if isinstance(words, Mapping):
        return several, list(map(str, words))
    if len(several) < 2:
        return several, [""] * len(several)
    classes = [str(one.made_by.settings.get("class", "")) for one in several]
    for one, name in zip(several, classes, strict=True):
        if not name:
            raise InputError(
                f"{len(several)} interpretations were given, and that by {one.made_by.brief} names no class: make each "
                "from activations.of_class(…) (interp interpret --class NAME), or give a dict from class to "
                "interpretation. The tokens of concepts are given as tokens= (--tokens)."
            )
        if classes.count(name) > 1:
            raise InputError(
                f"there are {classes.count(name)} interpretations of the class {name!r}; give one of them."
            )
    return several, classes


def _expected(given: Any) -> InputError:
    return InputError(
        f"the words hold {type(given).__name__}; an Interpretation was expected, or several, a list or a dict by class."
    )


def by_class(several: Sequence[Interpretation], classes: Sequence[str], number: int) -> dict[str, LabelledConcept]:
    """One concept in the words of each interpretation that has it, by class."""
    pairs = zip(classes, several, strict=True)
    return {name: one for name, words in pairs for one in words if one.concept == number}


def merged(number: int, known: Mapping[str, LabelledConcept]) -> LabelledConcept:
    """One concept in the words of all classes: its label, words, notes and rationales say the class that each is of.

    Scores and confidences are of one label each, so that the whole has none.
    """
    if set(known) <= {""}:
        return known.get("", LabelledConcept(number, None))

    def said(of: str) -> str:
        return "; ".join(f"{name}: {value}" for name, one in known.items() if (value := getattr(one, of)))

    return LabelledConcept(
        number,
        said("label") or None,
        tuple((f"{name}: {word}", strength) for name, one in known.items() for word, strength in one.words),
        _distinct(known, "examples"),
        note=said("note"),
        rationale=said("rationale"),
        shown=_distinct(known, "shown"),
    )


def _distinct(known: Mapping[str, LabelledConcept], of: str) -> tuple[Example, ...]:
    """The examples of all classes, each once, the strongest first."""
    found = dict.fromkeys(example for one in known.values() for example in getattr(one, of))
    return tuple(sorted(found, key=lambda example: -example.value))


def usage_of(several: Sequence[Interpretation]) -> Usage | None:
    """What asking a language model for all of them took; None if none was asked."""
    known = [one.usage for one in several if one.usage is not None]
    return reduce(add, known) if known else None
