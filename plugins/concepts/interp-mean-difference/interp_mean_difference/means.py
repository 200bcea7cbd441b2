"""Means of classes, in one pass over the activations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from interp_core.activations import Activations, classes_of
from interp_core.errors import InputError
from jaxtyping import Bool, Float
from torch import Tensor

EQUAL = 1e-9  # of the length of the means: less than float32 rows can tell apart


class ClassMeans(NamedTuple):
    """The mean row of each class, in float64.

    Attributes:
        names: of the k classes.
        member: which rows have which class.
        inside: the mean of the rows that have the class.
        outside: the mean of the rows that do not.
        overall: the mean of all rows.
    """

    names: list[str]
    member: Bool[Tensor, "n k"]
    inside: Float[Tensor, "k d"]
    outside: Float[Tensor, "k d"]
    overall: Float[Tensor, " d"]


def class_means(activations: Activations) -> ClassMeans:
    """The means, with the rows read once and in batches.

    Raises:
        InputError: no classes, a class that all rows have, or one whose mean is that of the other rows.
    """
    member, names = classes_of(activations)
    sums = torch.zeros(member.shape[1], activations.width, dtype=torch.float64)
    total = torch.zeros(activations.width, dtype=torch.float64)
    start = 0
    for part in activations.batches():
        rows = part.double()
        sums += member[start : start + len(rows)].double().T @ rows
        total += rows.sum(0)
        start += len(rows)
    count = member.double().sum(0)[:, None]
    inside, outside = sums / count, (total - sums) / (start - count)
    equal = (inside - outside).norm(dim=1) <= EQUAL * (inside.norm(dim=1) + outside.norm(dim=1))
    if bool(equal.any()):
        name = names[int(equal.nonzero()[0])]
        raise InputError(
            f"the rows of {activations.layer!r} with and without {name!r} have equal means, so no direction leads from "
            "one to the other; use another layer, or leave the class out."
        )
    return ClassMeans(names, member, inside, outside, total / start)
