"""The classes that a text is said to have: by name, by number, or as a row of booleans."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from interp_core.errors import InputError, TargetError
from torch import Tensor

Item = tuple[str, Any]


def with_labels(texts: Iterator[str], labels: Iterable[Any] | None, names: Sequence[str] = ()) -> Iterator[Item]:
    """Each text with its label, see `as_label`, or None.

    Raises:
        InputError: more or fewer labels than texts, or labels of different kinds.
    """
    if labels is None:
        yield from ((text, None) for text in texts)
        return
    given, first = iter(labels), None
    for number, text in enumerate(texts):
        try:
            label = as_label(next(given), names)
        except StopIteration:
            raise InputError(f"{number} labels were given, and there are more texts.") from None
        first = label if first is None else first
        if label.shape != first.shape:
            raise InputError(f"the label of text {number} is {label.tolist()}, that of the first {first.tolist()}.")
        yield text, label
    if next(given, given) is not given:
        raise InputError("more labels were given than texts.")


def as_label(given: Any, names: Sequence[str] = ()) -> Tensor:
    """The number of a class, or which classes there are (k), booleans."""
    other = f"the classes are {', '.join(names) or 'not named'}. Name those of the labels with class_names=[…]."
    if isinstance(given, str):
        if given not in names:
            raise InputError(f"the label {given!r} is no class; {other}")
        return torch.tensor(list(names).index(given))
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the label {given!r} cannot be read: {error}") from error
    if found.ndim == 0 and found.dtype != torch.bool and not found.is_floating_point() and int(found) >= 0:
        if names and int(found) >= len(names):
            raise InputError(f"the label {int(found)} is the number of no class; {other}")
        return found.long()
    if found.ndim == 1 and names and len(found) != len(names):
        raise InputError(f"a label is a row of {len(found)} booleans; {other}")
    if found.ndim == 1 and bool(((found == 0) | (found == 1)).all()):
        return found.bool()
    raise InputError(f"the label {given!r} is neither a class by name or number nor a row of booleans, one a class.")


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
