"""What a caller may ask to be explained, and the classes that are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp_core.errors import TargetError
from interp_core.model import Head, Target, predicted
from interp_core.text import class_index
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class At:
    """Ask about one place of a text that a tagger labels: a word (its first occurrence), or characters [start, stop).

    Attributes:
        where: the word or the characters.
        label: the tag, its number, a contrast of two tags, or None for the one that the model gives.
    """

    where: str | tuple[int, int]
    label: int | str | Contrast | None = None


@dataclass(frozen=True)
class Contrast:
    """Ask why `chosen` rather than `other`; names or numbers of classes, or two next tokens."""

    chosen: int | str
    other: int | str


def contrast(chosen: int | str, other: int | str) -> Contrast:
    """A target whose score is score(chosen) - score(other)."""
    return Contrast(chosen, other)


def at(where: str | tuple[int, int], label: int | str | Contrast | None = None) -> At:
    """A target for a model that labels tokens: the label of one word, or of characters [start, stop)."""
    return At(where, label)


def class_targets(
    asked: Any, labels: Sequence[str], head: Head, logits: Float[Tensor, " v"] | None
) -> tuple[Target, ...]:
    """The targets a caller means, for a classifier.

    Args:
        asked: None or `"predicted"`, `"all"`, a class by name or number, a `Contrast`, a `Target`, a function of the
            logits, or a list of these.
        labels: the names of the classes.
        head: kind of classifier.
        logits: those of the intact text, needed for the predicted class alone.

    Raises:
        TargetError: a class that is not there.
    """
    if asked is None or (isinstance(asked, str) and asked == "predicted" and "predicted" not in labels):
        return tuple(Target(labels[i], i) for i in predicted(logits, head))
    if isinstance(asked, str) and asked == "all" and "all" not in labels:
        return tuple(Target(label, i) for i, label in enumerate(labels))
    several = asked.tolist() if hasattr(asked, "tolist") else asked
    if isinstance(several, Sequence) and not isinstance(several, str):
        found = tuple(t for one in several for t in class_targets(one, labels, head, logits))
        if not found:
            raise TargetError("the list of targets is empty; name at least one class.")
        return found
    return (_class_target(several, labels),)


def _class_target(asked: Any, labels: Sequence[str]) -> Target:
    if isinstance(asked, Target):
        if asked.function is None:
            class_index(asked.index, labels)
        return asked
    if isinstance(asked, Contrast):
        chosen, other = class_index(asked.chosen, labels), class_index(asked.other, labels)
        if chosen == other:
            raise TargetError(f"the contrast of {labels[chosen]!r} with itself is always 0; name two classes.")
        return Target(f"{labels[chosen]} - {labels[other]}", chosen, against=other)
    if callable(asked):
        return Target(getattr(asked, "__name__", "function"), function=asked)
    index = class_index(asked, labels)
    return Target(labels[index], index)
