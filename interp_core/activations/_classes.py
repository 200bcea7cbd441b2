"""Which rows of activations have which class by their labels, and what the classes are called."""

from __future__ import annotations

from interp_core.activations._activations import Activations
from interp_core.errors import InputError
from jaxtyping import Bool
from torch import Tensor


def names_of(activations: Activations, count: int) -> list[str]:
    """The names of so many classes: those of the activations, if they have as many, else "class 0" and so on."""
    known = activations.class_names
    return list(known) if len(known) == count else [f"class {i}" for i in range(count)]


def classes_of(activations: Activations) -> tuple[Bool[Tensor, "n k"], list[str]]:
    """Which rows have which class, and what the classes are called.

    Raises:
        InputError: a class that no row has, or that all rows have.
    """
    member = activations.membership("labels")
    count = member.sum(0).tolist()
    names = names_of(activations, len(count))
    for name, having in zip(names, count, strict=True):
        if not 0 < having < len(member):
            raise InputError(
                f"{having} of {len(member)} rows have {name!r}; a concept is learnt from rows with and without it. "
                "Give the other classes alone: dataclasses.replace(activations, labels=…, class_names=…)."
            )
    return member, names
