"""Rows with the classes they have, as scikit-learn takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from interp_core.activations import Activations, classes_of
from interp_core.errors import InputError
from jaxtyping import Bool, Float, Int


class Labelled(NamedTuple):
    """All rows in memory, in float64.

    Attributes:
        x: the rows.
        member: which rows have which of k classes.
        names: of the classes.
        text: the text of each row, so that rows of one text stay together.
    """

    x: Float[np.ndarray, "n d"]
    member: Bool[np.ndarray, "n k"]
    names: list[str]
    text: Int[np.ndarray, " n"]


def labelled(activations: Activations) -> Labelled:
    """The rows and classes of activations.

    Raises:
        InputError: no classes, a class that all rows have, or rows that are all equal.
    """
    member, names = classes_of(activations)
    x = activations.matrix().double().numpy()
    if bool((x == x[0]).all()):
        raise InputError(f"all {len(x)} rows of {activations.layer!r} are equal; nothing tells classes apart.")
    return Labelled(x, member.numpy(), names, activations.text_of.numpy())
