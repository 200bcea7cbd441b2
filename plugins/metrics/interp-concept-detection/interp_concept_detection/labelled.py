"""Which rows have which label, in two halves of the texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from interp_core.activations import Activations, names_of
from interp_core.errors import InputError
from jaxtyping import Bool


class Halves(NamedTuple):
    """The labels that both halves can be scored on.

    Attributes:
        names: of the k labels.
        member: which rows have which label.
        first: which rows are in the first half; all rows of a text are in one.
        notes: which labels cannot be scored.
    """

    names: list[str]
    member: Bool[np.ndarray, "n k"]
    first: Bool[np.ndarray, " n"]
    notes: tuple[str, ...]


def halves(activations: Activations, seed: int) -> Halves:
    """Deal the texts to two halves, those with the same labels evenly to both.

    Raises:
        InputError: there is no label that texts of both halves have and lack.
    """
    member = activations.membership("labels").numpy()
    names = names_of(activations, member.shape[1])
    _, row, text = np.unique(activations.text_of.numpy(), return_index=True, return_inverse=True)
    drawn = np.random.default_rng(seed).random(len(row))
    order = np.lexsort((drawn, *member[row].T))  # neighbours have the same labels
    side = np.empty(len(row), dtype=bool)
    side[order] = np.arange(len(row)) % 2 == 0
    first = side[text]
    told = np.all([member[half].any(axis=0) & ~member[half].all(axis=0) for half in (first, ~first)], axis=0)
    if not told.any():
        raise InputError(
            f"none of the labels {', '.join(names)} can be scored: in each half of the {len(row)} texts, one with the "
            "label and one without it is needed."
        )
    left = [name for name, own in zip(names, told, strict=True) if not own]
    notes = (f"Left out, with too few texts: {', '.join(left)}.",) if left else ()
    return Halves([name for name, own in zip(names, told, strict=True) if own], member[:, told], first, notes)
