"""In which rows the main concepts of a label are silent, and which concept stands in for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from interp_concept_detection.labelled import Halves
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_linear_probe.classifier import Line
from interp_sparse_probing.contrasts import batches_of_codes, both
from interp_sparse_probing.probes import decisions
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_absorption.main_concepts import MainConcepts, two_sides


@dataclass
class Count:
    """The rows of one label.

    Attributes:
        told: rows with the label that the probe tells rightly.
        silent: of those, the rows in which no main concept is active.
        absorbed: of those, in how many each side of a concept stands in for them.
    """

    told: int = 0
    silent: int = 0
    absorbed: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """The share of rows told rightly that are absorbed; there must be such rows."""
        return self.absorbed.total() / self.told


@dataclass(frozen=True)
class Direction:
    """What one unit of each code adds along the probe of a label.

    Attributes:
        adds: where 1 is how far the mean rows with and without the label are apart.
        cosine: of each concept with the probe; 0 of a concept that has no direction.
    """

    adds: Float[Tensor, " c"]
    cosine: Float[Tensor, " c"]


def direction_of(space: ConceptSpace, line: Line, apart: float) -> Direction:
    """The direction of a probe, for the concepts of a space; a probe that does not tell its own rows has none.

    Args:
        space: the concepts.
        line: the probe.
        apart: the mean decision of the rows with the label that it learnt from, less that of the rows without.
    """
    dictionary, weight = space.dictionary.detach().double(), torch.from_numpy(line.weight)
    along = dictionary @ weight
    lengths = dictionary.norm(dim=1) * weight.norm()
    cosine = torch.where(lengths > 0, along / lengths, 0.0)
    return Direction(along / apart if apart > 0 else torch.zeros_like(along), cosine)


def absorbing(codes: Float[Tensor, "b c"], direction: Direction, *, cosine: float, margin: float) -> Int[Tensor, " b"]:
    """The side of a concept that stands in for the main ones in each of these rows, in which they are silent; -1 where
    none does.

    It is the one that adds most along the probe, if its direction has at least the cosine with the probe, and if it
    adds at least `margin` more than any other and than nothing.

    Args:
        codes: 0 where a concept is not active.
        direction: of the probe.
        cosine: the least, of the direction that the code points in.
        margin: in distances of mean rows.
    """
    adds = codes * direction.adds
    adds = torch.cat([adds, adds.new_zeros(len(adds), 1)], dim=1)  # the last: nothing
    most, which = adds.topk(2, dim=1)
    first = which[:, 0].clamp(max=codes.shape[1] - 1)
    sign = codes.gather(1, first[:, None])[:, 0].sign()
    held = (direction.cosine[first] * sign >= cosine) & (sign != 0) & (most[:, 0] - most[:, 1] >= margin)
    return torch.where(held, first + (sign < 0) * codes.shape[1], -1)


def counts(
    space: ConceptSpace,
    activations: Activations,
    dealt: Halves,
    lines: list[list[Line]],
    mains: list[list[MainConcepts]],
    *,
    threshold: float,
    cosine: float,
    margin: float,
) -> list[Count]:
    """For each label, the rows of each half by what the other half has taught.

    Args:
        space: the concepts.
        activations: all rows.
        dealt: the labels and halves of the rows.
        lines: the probe that each half has taught, of each label. One that does not tell its own rows tells none.
        mains: the main concepts of each half and label.
        threshold: above this a code counts as active.
        cosine: of an absorbing concept with the probe, at least.
        margin: of an absorbing concept, in distances of mean rows.
    """
    said = decisions(activations, lines)  # (2, n, k)
    found = [Count() for _ in dealt.names]
    apart = np.array(
        [
            [_apart(said[h, half, i], has[half]) for i, has in enumerate(dealt.member.T)]
            for h, half in enumerate(both(dealt))
        ]
    )
    directions = [
        [direction_of(space, line, a) for line, a in zip(*way, strict=True)] for way in zip(lines, apart, strict=True)
    ]
    scored = ~np.stack(both(dealt))[:, :, None]
    right = torch.from_numpy((said > 0) & dealt.member & scored & (apart > 0)[:, None])  # (2, n, k)
    start = 0
    for batch in batches_of_codes(space, activations):
        active = two_sides(batch) > threshold
        here = right[:, start : start + len(batch)]
        for h, i in np.ndindex(2, len(found)):
            silent = here[h, :, i] & ~active[:, mains[h][i].sides].any(dim=1)
            found[i].told += int(here[h, :, i].sum())
            found[i].silent += int(silent.sum())
            codes = batch[silent].double()
            codes = codes * (codes.abs() > threshold)
            instead = absorbing(codes, directions[h][i], cosine=cosine, margin=margin)
            found[i].absorbed.update(instead[instead >= 0].tolist())
        start += len(batch)
    return found


def _apart(decision: Float[np.ndarray, " n"], having: Bool[np.ndarray, " n"]) -> float:
    """How far the mean decisions of rows with and without a label are apart."""
    return float(decision[having].mean() - decision[~having].mean())
