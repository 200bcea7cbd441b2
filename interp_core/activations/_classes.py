"""The labelled classes of rows, and the names of the classes."""

from __future__ import annotations

from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from jaxtyping import Bool
from torch import Tensor


def names_of(activations: Activations, count: int) -> list[str]:
    """The names of `count` classes.

    Args:
        activations: their `class_names` are used if there are exactly `count`.
        count: the number of classes k.

    Returns:
        The k names; `"class 0"`, `"class 1"`, … where the activations do not name k classes.

    Examples:
        >>> from interp_core.activations import names_of, of_rows
        >>> rows = of_rows(torch.eye(2), class_names=("noun", "verb"))
        >>> names_of(rows, 2)
        ['noun', 'verb']
        >>> names_of(rows, 3)
        ['class 0', 'class 1', 'class 2']
    """
    known = activations.class_names
    return list(known) if len(known) == count else [f"class {i}" for i in range(count)]


def classes_of(activations: Activations) -> tuple[Bool[Tensor, "n k"], list[str]]:
    """Which rows are labelled with which classes, for methods that learn each class from rows with and without it.

    Args:
        activations: n rows, with labels of k classes.

    Returns:
        Booleans (n, k), True where the text of a row has the class; and the k names.

    Raises:
        InputError: there are no labels, or some class belongs to no row or to every row.

    Examples:
        >>> from interp_core.activations import classes_of, of_rows
        >>> rows = of_rows(torch.eye(3), labels=torch.tensor([0, 1, 1]), class_names=("noun", "verb"))
        >>> member, names = classes_of(rows)
        >>> dict(zip(names, member.sum(0).tolist()))
        {'noun': 1, 'verb': 2}
    """
    member = activations.membership("labels")
    count = member.sum(0).tolist()
    names = names_of(activations, len(count))
    for name, having in zip(names, count, strict=True):
        if not 0 < having < len(member):
            raise InputError(
                f"{having} of {len(member)} rows have {name!r}; a concept is learnt from rows with and without it. "
                "Keep only the other classes: dataclasses.replace(activations, labels=…, class_names=…)."
            )
    return member, names
