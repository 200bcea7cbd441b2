"""Products of codes of which few are not zero: the others are neither multiplied nor differentiated."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

SHARE = 1 / 16  # of the codes of a batch; where more are not zero, dense products are about as fast


class Kept(NamedTuple):
    """The codes of a batch that are not zero, row by row.

    Attributes:
        values: (m) the codes.
        rows: (m) the row of each, ascending.
        concepts: (m) the concept of each.
        starts: (b + 1) the first of each row, and m.
    """

    values: Float[Tensor, " m"]
    rows: Int[Tensor, " m"]
    concepts: Int[Tensor, " m"]
    starts: Int[Tensor, " b1"]


def kept_in(codes: Float[Tensor, "b c"]) -> Kept | None:
    """The codes that are not zero; None if they are too many, or dense products are faster where they are."""
    if codes.device.type != "cpu" or codes.dtype != torch.float32:
        return None
    rows, concepts = codes.nonzero(as_tuple=True)
    if len(rows) > SHARE * codes.numel():
        return None
    return Kept(codes[rows, concepts], rows, concepts, _starts(rows, len(codes)))


def read(
    rows: Float[Tensor, "b d"], encoder: Float[Tensor, "c d"], bias: Float[Tensor, " c"], kept: Kept
) -> Float[Tensor, " m"]:
    """The codes that are kept, as a function of rows, encoder and bias: `(rows @ encoder.T + bias)[kept]`."""
    values: Tensor = _Read.apply(rows, encoder, bias, kept)
    return values


def decode(values: Float[Tensor, " m"], kept: Kept, atoms: Float[Tensor, "c d"]) -> Float[Tensor, "b d"]:
    """The sums of atoms that codes stand for: `codes @ atoms`."""
    return _summed(kept.concepts, kept.starts, values, atoms)


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, encoder: Tensor, bias: Tensor, kept: Kept) -> Tensor:
        ctx.save_for_backward(rows, encoder, bias, kept.rows, kept.concepts, kept.starts)
        return kept.values.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        rows, encoder, bias, row_of, concept_of, starts = ctx.saved_tensors
        (slope,) = slopes
        by_concept = concept_of.argsort(stable=True)
        ends = _starts(concept_of[by_concept], len(encoder))
        return (
            _summed(concept_of, starts, slope, encoder),
            _summed(row_of[by_concept], ends, slope[by_concept], rows),
            torch.zeros_like(bias).index_add_(0, concept_of, slope),
            None,
        )


def _summed(which: Tensor, starts: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """Weighted sums of vectors, each from its start to the next."""
    total: Tensor = embedding_bag(
        which, vectors, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
    return total


def _starts(groups: Int[Tensor, " m"], count: int) -> Int[Tensor, " count1"]:
    """Where each of `count` groups begins among ascending numbers of groups, and their end."""
    return torch.searchsorted(groups, torch.arange(count + 1))
