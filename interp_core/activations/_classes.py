"""The labelled classes of rows, and their names."""

from __future__ import annotations

from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from jaxtyping import Bool
from torch import Tensor


def names_of(activations: Activations, count: int) -> list[str]:
    """Name k classes.

    Args:
        activations: activations, whose `class_names` are used if there are exactly k of them.
        count: the number k of classes.

    Returns:
        The k names; `"class 0"`, `"class 1"`, … if the activations do not name k classes.

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
    """Mark the rows of each labelled class, for methods that learn a class from rows with and without it.

    Args:
        activations: n rows, with labels.

    Returns:
        (n, k) True where the text of a row has the class; and the names of the k classes. Classes that no row has are
        left out.

    Raises:
        InputError: there are no labels, no row has a class, or every row has the same class.

    Examples:
        >>> from interp_core.activations import classes_of, of_rows
        >>> rows = of_rows(torch.eye(3), labels=torch.tensor([0, 1, 1]), class_names=("noun", "verb"))
        >>> member, names = classes_of(rows)
        >>> dict(zip(names, member.sum(0).tolist()))
        {'noun': 1, 'verb': 2}
    """
    member = activations.membership("labels")
    kept = member.any(0)
    names = [name for name, some in zip(names_of(activations, len(kept)), kept.tolist(), strict=True) if some]
    member = member[:, kept]
    if not names:
        raise InputError("no row has any class; a concept is learnt from rows with and without it.")
    for name, having in zip(names, member.all(0).tolist(), strict=True):
        if having:
            raise InputError(
                f"each of the {len(member)} rows has {name!r}; a concept is learnt from rows with and without it. Give "
                "rows of other classes too, or leave it out: dataclasses.replace(activations, labels=…, class_names=…)."
            )
    return member, names
