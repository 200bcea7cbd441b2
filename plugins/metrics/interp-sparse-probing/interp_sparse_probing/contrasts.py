"""By how much columns differ between rows with a label and rows without it, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from interp_concept_detection.labelled import Halves
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Bool, Float, Int
from torch import Tensor

CODES = 2**24  # codes that are held at a time


def both(dealt: Halves) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which rows are in the first and which in the second half."""
    return dealt.first, ~dealt.first


def batches_of_codes(space: ConceptSpace, activations: Activations) -> Iterator[Float[Tensor, "b c"]]:
    """The codes of all rows in order, so many rows at a time as fit."""
    for rows in activations.batches(max(1, min(8192, CODES // space.concepts))):
        with torch.no_grad():
            codes = space.encode(rows)
        yield codes


def mean_differences(
    batches: Iterable[Float[Tensor, "b c"]], dealt: Halves, *, whiten: bool = False
) -> Float[np.ndarray, "2 k c"]:
    """In each half and for each label, the mean of a column over the rows with the label less that over the others.

    Args:
        batches: c columns of all rows, in order.
        dealt: the labels and halves of these rows.
        whiten: divide by the standard deviation of a column in the half; a constant column has difference 0.

    Raises:
        InputError: a row is not finite.
    """
    halves = torch.from_numpy(np.stack(both(dealt)))  # (2, n)
    member = torch.from_numpy(dealt.member)
    start, about = 0, torch.zeros(0)
    having, total, squares = (torch.zeros(0, dtype=torch.float64) for _ in range(3))
    for batch in batches:
        stop = start + len(batch)
        values = batch.double()
        if not start:
            about = values[0].clone()  # a point near the rows, so that no digits cancel
            width = values.shape[1]
            having, total = values.new_zeros(2, member.shape[1], width), values.new_zeros(2, width)
            squares = torch.zeros_like(total)
        values = values - about
        half = halves[:, start:stop].double()
        having += torch.einsum("hb,bk,bc->hkc", half, member[start:stop].double(), values)
        total += half @ values
        squares += half @ values.square()
        start = stop
    if not bool(total.isfinite().all()):
        raise InputError("some rows, or their codes, are not finite; measure finite rows only.")
    rows = halves.sum(dim=1).double()[:, None]
    inside = halves.double() @ member.double()  # (2, k) rows with each label
    difference = having / inside[:, :, None] - (total[:, None] - having) / (rows - inside)[:, :, None]
    if whiten:
        variance = squares / rows - (total / rows).square()
        difference = torch.where(variance[:, None] > 0, difference / variance[:, None].sqrt(), 0.0)
    return difference.numpy()


def columns_of(batches: Iterable[Float[Tensor, "b c"]], chosen: Int[np.ndarray, " u"]) -> Float[np.ndarray, "n u"]:
    """Some columns of all rows, in float64."""
    index = torch.from_numpy(chosen)
    return torch.cat([batch[:, index].double() for batch in batches]).numpy()


def largest(sizes: Float[np.ndarray, "2 k c"], count: int) -> Int[np.ndarray, "2 k m"]:
    """The columns with the largest sizes, largest first; of equal ones the first."""
    return np.argsort(-sizes, axis=-1, kind="stable")[..., :count]
