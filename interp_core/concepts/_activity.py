"""The activity of concepts in a corpus: counts, quantiles and samples, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts._compatibility import check_fits
from interp_core.concepts._space import ConceptSpace
from interp_core.concepts._strongest import check_finite, check_whole
from interp_core.errors import InputError
from jaxtyping import Bool, Float, Int
from torch import Tensor

ENTRIES = 2**22  # codes held at a time
EDGES = 512  # values of each concept whose rank is counted, at most


class Sampled(NamedTuple):
    """A random sample of rows for one concept, in order of decreasing code.

    Attributes:
        rows: (m) the numbers of the rows.
        codes: (m) the codes of the concept in these rows.

    Examples:
        >>> from interp_core.concepts import activity
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> rows, codes = activity(space, activations, sample=3).samples[0]
        >>> torch.equal(space.encode(activations.matrix()[rows])[:, 0], codes)
        True
    """

    rows: Int[Tensor, " m"]
    codes: Float[Tensor, " m"]


@dataclass(frozen=True, eq=False)
class Activity:
    """How often and how strongly the c concepts of a space are active in n rows.

    A concept is active in a row if its code there is above 0.

    Attributes:
        rows: the number n of rows.
        active: (c) the number of rows in which each concept is active.
        mean: (c) the mean code over these rows; 0 for a concept that is never active.
        largest: (c) the largest code; 0 for a concept that is never active.
        samples: for each concept, a uniform sample of the rows where it is active; all of them if they are few.
        silent: for each concept, a uniform sample of the rows where it is not active.
        rank_error: the largest error of the rank of a quantile, as a share of the active rows, over all concepts. It is
            counted, not estimated; 0 where no concept has more than 512 active rows.

    Examples:
        >>> from interp_core.concepts import activity
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> found = activity(space, activations)
        >>> found.active.tolist(), found.rank_error
        ([40, 40, 40], 0.0)
        >>> bool((found.quantiles(0, [0.0, 1.0])[1] == found.largest[0]).item())
        True
    """

    rows: int
    active: Int[Tensor, " c"]
    mean: Float[Tensor, " c"]
    largest: Float[Tensor, " c"]
    samples: tuple[Sampled, ...]
    silent: tuple[Sampled, ...]
    rank_error: float
    _edges: tuple[tuple[Float[Tensor, " e"], Float[Tensor, " e"]], ...]  # values, and the share of rows up to each

    def quantiles(self, concept: int, shares: Sequence[float]) -> Float[Tensor, " s"]:
        """Estimate quantiles of the codes of a concept over the rows where it is active.

        Args:
            concept: the number of the concept in the space.
            shares: the s shares of rows, from 0 (the smallest code in the sample) to 1 (the largest code of all rows).

        Returns:
            (s) the code for each share, with a rank error of at most `rank_error`; 0 if the concept is never active.

        Raises:
            InputError: there is no such concept, or the shares are not numbers from 0 to 1.
        """
        edges, known = self._edges_of(concept)
        try:
            wanted = torch.as_tensor(shares, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            wanted = torch.tensor(torch.nan)
        if wanted.ndim != 1 or not bool(((wanted >= 0) & (wanted <= 1)).all()):
            raise InputError(f"shares is {shares!r}; a list of numbers from 0 to 1, such as [0.25, 0.5], was expected.")
        if not len(edges):
            return torch.zeros(len(wanted))
        at = torch.searchsorted(known, wanted.to(known)).clamp(max=len(edges) - 1)
        return edges[at]

    def histogram(self, concept: int, bins: int = 20) -> tuple[Float[Tensor, " b"], Float[Tensor, " b+1"]]:
        """Estimate the histogram of the codes of a concept over the rows where it is active.

        Args:
            concept: the number of the concept in the space.
            bins: the number b of bins, of equal width from 0 to the largest code; at least 1.

        Returns:
            The number of rows in each bin (b), accurate to `rank_error`, and the edges of the bins (b+1). Upper edges
            belong to their bin.

        Raises:
            InputError: there is no such concept, or `bins` is not a whole number of at least 1.
        """
        check_whole("bins", bins, 1)
        edges, known = self._edges_of(concept)
        limits = torch.linspace(0, float(self.largest[concept]), bins + 1)
        if not len(edges):
            return torch.zeros(bins), limits
        at = torch.searchsorted(edges, limits[1:-1].to(edges), right=True)
        share = torch.cat([known.new_zeros(1), known])[at]
        inner = torch.cat([share.new_zeros(1), share, share.new_ones(1)])
        return (inner.diff() * float(self.active[concept])).float(), limits

    def _edges_of(self, concept: int) -> tuple[Float[Tensor, " e"], Float[Tensor, " e"]]:
        known = len(self._edges)
        if isinstance(concept, bool) or not hasattr(concept, "__index__") or not 0 <= concept.__index__() < known:
            raise InputError(f"there is no concept {concept!r}; this activity is of concepts 0 to {known - 1}.")
        return self._edges[concept]


def activity(
    space: ConceptSpace, activations: Activations, *, sample: int = 4096, silent: int = 64, seed: int = 0
) -> Activity:
    """Measure how often and how strongly the concepts of a space are active in a corpus.

    Takes two passes over the rows, or one if no concept is active in more than `sample` rows. Memory grows with
    concepts times `sample`, not with the rows; the result does not depend on how the rows are batched.

    Args:
        space: the concepts.
        activations: the corpus.
        sample: the number of rows drawn for each concept from those where it is active, at least 1. Ranks are counted
            exactly between the codes of these rows: with 4,096 of them, `rank_error` is about 0.007 for the worst of a
            thousand concepts.
        silent: the number of rows drawn for each concept from those where it is not active, at least 0.
        seed: the seed of the draws.

    Returns:
        The counts, samples and quantiles of each concept.

    Raises:
        InputError: the activations do not fit the space, a number is out of range, or a code is not finite.

    Examples:
        >>> from interp_core.concepts import activity
        >>> from interp_core.testing import topic_world
        >>> activations, space = topic_world()
        >>> found = activity(space, activations, sample=8)
        >>> len(found.samples[0].rows), found.samples[0].codes.min() > 0
        (8, tensor(True))
    """
    check_fits(space, activations)
    for name, value, least in (("sample", sample, 1), ("silent", silent, 0), ("seed", seed, 0)):
        check_whole(name, value, least)
    on, off = _Reservoir(space.concepts, sample), _Reservoir(space.concepts, silent)
    active = torch.zeros(space.concepts, dtype=torch.long)
    total, largest = torch.zeros(2, space.concepts, dtype=torch.float64)
    drawn = np.random.default_rng(seed)
    for first, codes in _codes(space, activations):
        above = codes > 0
        order = torch.from_numpy(drawn.random(len(codes)))
        on.add(codes, above, order, first)
        off.add(codes, ~above, order, first)
        active += above.sum(0)
        positive = codes.clamp(min=0)
        total += positive.double().sum(0)
        largest = torch.maximum(largest, positive.amax(0).double())
    samples = on.drawn()
    edges = [_edges(one.codes, top) for one, top in zip(samples, largest.float().tolist(), strict=True)]
    if bool((active > sample).any()):
        counts = _counted(_codes(space, activations), edges)
    else:
        counts = [_counted([(0, one.codes[:, None])], [edge])[0] for one, edge in zip(samples, edges, strict=True)]
    shares, gaps = [], [0.0]
    for (within, equal), n in zip(counts, active.tolist(), strict=True):
        shares.append(within.cumsum(0).double() / max(1, n))
        gaps.append(int((within - equal).max()) / n if n else 0.0)
    known = tuple(zip(edges, shares, strict=True))
    mean = (total / active.clamp(min=1)).float()
    return Activity(len(activations), active, mean, largest.float(), samples, off.drawn(), max(gaps), known)


class _Reservoir:
    """Of each concept the rows that come first in a random order of all rows, among those that are wanted."""

    def __init__(self, concepts: int, size: int) -> None:
        self.size = size
        self.limit = torch.full((concepts,), 1.0 if size else 0.0, dtype=torch.float64)
        self.concept, self.row = torch.zeros(2, 0, dtype=torch.long)
        self.code, self.place = torch.zeros(0), torch.zeros(0, dtype=torch.float64)

    def add(
        self, codes: Float[Tensor, "b c"], wanted: Bool[Tensor, "b c"], order: Float[Tensor, " b"], first: int
    ) -> None:
        """Take in a batch of rows, of which `first` is the number of the first."""
        row, concept = (wanted & (order[:, None] < self.limit)).nonzero(as_tuple=True)
        self.concept, self.row = torch.cat([self.concept, concept]), torch.cat([self.row, row + first])
        self.code, self.place = torch.cat([self.code, codes[row, concept]]), torch.cat([self.place, order[row]])
        if len(self.row) > max(ENTRIES // 4, 2 * self.size * len(self.limit)):
            self._shrink()

    def _shrink(self) -> None:
        """Leave of each concept the first `size` rows."""
        by = np.lexsort((self.place.numpy(), self.concept.numpy()))
        of = self.concept[torch.from_numpy(by)]
        starts = torch.searchsorted(of, torch.arange(len(self.limit)))
        inside = torch.arange(len(of)) - starts[of]
        kept = torch.from_numpy(by)[inside < self.size]
        last = torch.from_numpy(by)[inside == self.size - 1]
        self.limit[self.concept[last]] = self.place[last]
        self.concept, self.row = self.concept[kept], self.row[kept]
        self.code, self.place = self.code[kept], self.place[kept]

    def drawn(self) -> tuple[Sampled, ...]:
        """The rows of each concept, the largest code first."""
        self._shrink()
        by = torch.from_numpy(np.lexsort((self.row.numpy(), -self.code.numpy(), self.concept.numpy())))
        sizes = torch.bincount(self.concept, minlength=len(self.limit)).tolist()
        parts = zip(self.row[by].split(sizes), self.code[by].split(sizes), strict=True)
        return tuple(Sampled(rows, codes) for rows, codes in parts)


def _codes(space: ConceptSpace, activations: Activations) -> Iterator[tuple[int, Float[Tensor, "b c"]]]:
    """The codes of all rows in batches, each with the number of its first row."""
    first = 0
    for part in activations.batches(max(1, ENTRIES // space.concepts)):
        with torch.no_grad():
            codes = space.encode(part).float().cpu()
        check_finite(codes, first)
        yield first, codes
        first += len(codes)


def _edges(codes: Float[Tensor, " m"], largest: float) -> Float[Tensor, " e"]:
    """Codes of a sample, evenly by rank and in ascending order, the largest code of all rows last."""
    if not len(codes):
        return codes
    at = torch.linspace(0, len(codes) - 1, min(EDGES, len(codes))).round().long()
    edges: Tensor = torch.cat([codes.flip(0)[at][:-1], torch.tensor([largest])]).unique()
    return edges


def _counted(
    parts: Iterable[tuple[int, Float[Tensor, "b c"]]], edges: list[Float[Tensor, " e"]]
) -> list[tuple[Int[Tensor, " e"], Int[Tensor, " e"]]]:
    """In how many rows each concept is above one edge and at most the next, and in how many it is that next edge."""
    counts = [torch.zeros(2, len(one), dtype=torch.long) for one in edges]
    for _, codes in parts:
        row, concept = (codes > 0).nonzero(as_tuple=True)
        order = concept.argsort(stable=True)
        values = codes[row[order], concept[order]].split(torch.bincount(concept, minlength=len(edges)).tolist())
        for own, edge, part in zip(counts, edges, values, strict=True):
            if len(part):
                at = torch.searchsorted(edge, part)
                own[0] += torch.bincount(at, minlength=len(edge))
                own[1] += torch.bincount(at[edge[at] == part], minlength=len(edge))
    return [(within, equal) for within, equal in counts]
