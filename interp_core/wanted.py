"""What a caller may ask to be explained, and the classes that are meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import TargetError
from interp_core.heads import Head
from interp_core.targets import Target
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


def class_index(asked: Any, labels: Sequence[str]) -> int:
    """The number of a class given by name or number.

    Raises:
        TargetError: there is no such class; the message lists those that are.
    """
    named = f"this classifier has {len(labels)} label{'s' * (len(labels) != 1)} ({', '.join(labels[:20])})"
    if isinstance(asked, str):
        if asked in labels:
            return list(labels).index(asked)
        near = difflib.get_close_matches(asked, labels, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TargetError(f"target {asked!r} is not a label: {named}.{hint}")
    if isinstance(asked, bool) or not hasattr(asked, "__index__"):
        raise TargetError(f"target {asked!r} is neither a class name nor a number: {named}.")
    index = int(asked.__index__())
    if not 0 <= index < len(labels):
        raise TargetError(f"target {index} is out of range: {named}.")
    return index


def predicted(logits: Float[Tensor, " v"] | None, head: Head) -> list[int]:
    """The classes a classifier answers: the best one; of a multi-label head all above one half, or else the best; the
    greatest output of a regression.
    """
    if logits is None:
        raise TargetError("the predicted class needs the logits of the text; name the targets instead.")
    if head == "multi-label":
        above: list[int] = torch.nonzero(logits > 0).flatten().tolist()
        return above or [int(logits.argmax())]
    return [int(logits.argmax())]
