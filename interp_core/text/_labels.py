"""The labels of texts: classes by name, by number, or as a row of booleans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from interp_core.errors import InputError, TargetError, nearest
from interp_core.text._encoder import Text
from torch import Tensor

Item = tuple[Text, Any]  # a text and its label, or None


NAMING = " Name the classes of the labels with class_names=[…]."


def with_labels(
    texts: Iterator[Text], labels: Iterable[Any] | None, names: Sequence[str] = (), *, hint: str = NAMING
) -> Iterator[Item]:
    """Pair each text with its label.

    Args:
        texts: the texts.
        labels: one label for each text, all in the same form: the name or number of a class, or a row of booleans (k),
            one for each class. None for texts without labels.
        names: the names of the classes, in order.
        hint: the end of the message about a label that is not one of the classes.

    Yields:
        Each text with its label as a tensor, the number of a class or booleans (k), or with None.

    Raises:
        InputError: there are more or fewer labels than texts, a label is not one of the classes, or labels have
            different forms.

    Examples:
        >>> from interp_core.text import with_labels
        >>> list(with_labels(iter(["so happy", "so sad"]), ["joy", "sadness"], names=["joy", "sadness"]))
        [('so happy', tensor(0)), ('so sad', tensor(1))]
    """
    if labels is None:
        yield from ((text, None) for text in texts)
        return
    remaining, first = iter(labels), None
    for number, text in enumerate(texts):
        try:
            label = as_label(next(remaining), names, hint)
        except StopIteration:
            raise InputError(f"{number} labels were given, and there are more texts.") from None
        first = label if first is None else first
        if label.shape != first.shape:
            raise InputError(f"the label of text {number} is {label.tolist()}, that of the first {first.tolist()}.")
        yield text, label
    if next(remaining, remaining) is not remaining:
        raise InputError("more labels were given than texts.")


def as_label(label: Any, names: Sequence[str] = (), hint: str = NAMING) -> Tensor:
    """The number of a class, or booleans (k), one per class.

    Raises:
        InputError: it is not one of the classes, or not a label.
    """
    if label is None:
        raise InputError("a text has no label (it is None), and every text needs one here; leave such texts out.")
    known = f"the classes are {', '.join(names) or 'not named'}.{hint}"
    if isinstance(label, str):
        if label not in names:
            raise InputError(f"the label {label!r} is not a class; {known}")
        return torch.tensor(list(names).index(label))
    try:
        value = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the label {label!r} cannot be read: {error}") from error
    if value.ndim == 0 and value.dtype != torch.bool and not value.is_floating_point() and int(value) >= 0:
        if names and int(value) >= len(names):
            raise InputError(f"the label {int(value)} is not the number of a class; {known}")
        return value.long()
    if value.ndim == 1 and names and len(value) != len(names):
        raise InputError(f"a label is a row of {len(value)} booleans; {known}")
    if value.ndim == 1 and bool(((value == 0) | (value == 1)).all()):
        return value.bool()
    raise InputError(f"the label {label!r} is neither the name or number of a class nor a row of booleans.")


def class_index(asked: Any, labels: Sequence[str]) -> int:
    """Look up the number of a class that is given by name or number.

    Args:
        asked: the name of a class, or its number from 0.
        labels: the names of the classes, in order.

    Returns:
        The number of the class.

    Raises:
        TargetError: there is no such class; the message lists the classes.

    Examples:
        >>> from interp_core.text import class_index
        >>> class_index("sadness", ["joy", "sadness"])
        1
        >>> class_index("sadnes", ["joy", "sadness"])
        Traceback (most recent call last):
        interp_core.errors.TargetError: target 'sadnes' is not a label: this classifier has 2 labels (joy, sadness).
        Did you mean 'sadness'?
    """
    named = f"this classifier has {len(labels)} label{'s' * (len(labels) != 1)} ({', '.join(labels[:20])})"
    if isinstance(asked, str):
        if asked in labels:
            return list(labels).index(asked)
        raise TargetError(f"target {asked!r} is not a label: {named}.{nearest(asked, labels)}")
    if isinstance(asked, bool) or not hasattr(asked, "__index__"):
        raise TargetError(f"target {asked!r} is neither a class name nor a number: {named}.")
    index = int(asked.__index__())
    if not 0 <= index < len(labels):
        raise TargetError(f"target {index} is out of range: {named}.")
    return index
