"""Where concepts are most active: one row a text, from codes that come batch by batch."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Strongest, with_rows
from interp_core.errors import InputError
from jaxtyping import Bool, Float
from torch import Tensor

ENTRIES = 2**22  # codes held at a time


class ActiveRows(NamedTuple):
    """For each concept rows with their codes, no two of one text, the largest code first; and the corpus' largest."""

    entries: list[list[tuple[int, float]]]
    peak: Float[Tensor, " c"]


def active_rows(
    space: ConceptSpace, activations: Activations, count: int, among: Bool[Tensor, " t"] | None = None
) -> ActiveRows:
    """The rows where each concept is most active, in as many texts as are asked for.

    Args:
        space: the c concepts.
        activations: the corpus of t texts.
        count: rows for each concept, at most.
        among: True for the texts that are chosen from; all by default.

    Raises:
        InputError: a code is not a finite number, or there are no rows.
    """
    found = _strongest(space, activations, count)
    if among is None:
        return ActiveRows(found.entries, found.values[0])
    rows = among[activations.text_of].nonzero().flatten().tolist()
    chosen = _strongest(space, activations.select(among), count).entries
    return ActiveRows([[(rows[row], code) for row, code in one] for one in chosen], found.values[0])


def _strongest(space: ConceptSpace, activations: Activations, count: int) -> Strongest:
    found: Strongest | None = None
    size = max(1, ENTRIES // space.concepts)
    for first, part in zip(range(0, len(activations), size), activations.batches(size), strict=True):
        with torch.no_grad():
            codes = space.encode(part).float().cpu()
        found = with_rows(found, codes, first, activations.text_of[first : first + size], count, above=-inf)
    if found is None:
        raise InputError("there are no rows; the activations must hold at least one.")
    return found
