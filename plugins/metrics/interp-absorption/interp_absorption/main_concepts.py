"""The concepts that stand for a label: as many as it takes to tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from interp_concept_detection.labelled import Halves
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_sparse_probing.contrasts import batches_of_codes, both, columns_of, largest, mean_differences
from interp_sparse_probing.probes import line_of_columns, told
from jaxtyping import Bool, Float, Int
from torch import Tensor


class MainConcepts(NamedTuple):
    """The concepts that stand for one label in one half.

    Attributes:
        sides: m of the 2 c sides of concepts: i < c is concept i above 0, i >= c concept i - c below 0.
        f1: of a probe on these sides, in the half that they were chosen on.
    """

    sides: Int[np.ndarray, " m"]
    f1: float


def two_sides(codes: Float[Tensor, "b c"]) -> Float[Tensor, "b 2*c"]:
    """The positive parts of codes, and those of their negatives: concepts of either sign are active on either side."""
    return torch.cat([codes.relu(), (-codes).relu()], dim=1)


def sides_of(space: ConceptSpace, activations: Activations) -> Iterator[Float[Tensor, "b s"]]:
    """The sides of all concepts, in the order of rows."""
    return (two_sides(codes) for codes in batches_of_codes(space, activations))


def main_concepts(
    space: ConceptSpace,
    activations: Activations,
    dealt: Halves,
    learnt: list[list[Int[np.ndarray, " m"]]],
    *,
    k: int,
    gain: float,
    ridge: float,
) -> list[list[MainConcepts]]:
    """For each half and label the main concepts.

    The side of a concept that rises most with the label comes first, in the mean; the next ones are added in order as
    long as each lets the F1 of a probe on all of them rise by more than `gain`.
    """
    rises = mean_differences(sides_of(space, activations), dealt)
    order = largest(rises, k)
    known = np.unique(order)
    columns, place = columns_of(sides_of(space, activations), known), np.searchsorted(known, order)
    found: list[list[MainConcepts]] = []
    for h, half in enumerate(both(dealt)):
        found.append([])
        for i, having in enumerate(dealt.member.T):
            useful = max(1, int((rises[h, i, order[h, i]] > 0).sum()))
            x = columns[:, place[h, i, :useful]]
            scores = _f1s(x, having, half, learnt[h][i], ridge)
            count, f1 = as_long_as_it_rises(scores, gain)
            found[-1].append(MainConcepts(order[h, i, :count], f1))
    return found


def _f1s(
    x: Float[np.ndarray, "n m"],
    having: Bool[np.ndarray, " n"],
    half: Bool[np.ndarray, " n"],
    learnt: Int[np.ndarray, " l"],
    ridge: float,
) -> Iterator[float]:
    """The F1 in a half of probes on the first column, the first two, and so on."""
    for size in range(1, x.shape[1] + 1):
        line = line_of_columns(x[learnt, :size], having[learnt], ridge)
        yield told(x[half, :size] @ line.weight + line.bias > 0, having[half]).f1


def as_long_as_it_rises(scores: Iterator[float], gain: float) -> tuple[int, float]:
    """How many scores there are up to the first that is not more than `gain` above the one before; and the last."""
    count, last = 1, next(scores)
    for score in scores:
        if score - last <= gain:
            break
        count, last = count + 1, score
    return count, last
