"""Convex NMF: activations as non-negative sums of directions that are themselves non-negative sums of rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_semi_nmf.alternating import Sums, alternated, started
from interp_semi_nmf.nnls import nnls
from interp_semi_nmf.semi_nmf import best_dictionary
from interp_semi_nmf.space import AdditiveSpace
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot

CANCELLED = 1e-6  # the length of a sum, over that of its terms: below, nothing is left of it
INERTIA = 1e-2  # of a combination, beside a gram matrix with a diagonal of ones: makes each step well-conditioned


@dataclass(frozen=True)
class ConvexNMF:
    """Convex NMF: activations as non-negative sums of directions that are themselves non-negative sums of rows.

    It minimises ‖X - Z D‖² over codes Z ≥ 0 and directions D = W R with W ≥ 0, where R holds rows of X. A direction
    lies inside the cone of the data, so that it stays close to something that occurs; directions of semi-NMF may lie
    outside of it and fit more closely. R is drawn without replacement; where there are at most `rows` rows it is X, as
    published.

    Codes are at least 0, in the units of the activations: the exact non-negative least squares solution for each row by
    itself, as in semi-NMF. Directions have length 1. All rows are read in batches, once for each step; memory does not
    grow with their number.

    Args:
        concepts: number of directions, at least 1.
        rows: maximum number of rows that directions are combined from; at least `concepts`.
        steps: maximum number of updates of codes and directions, at least 1.
        tolerance: stop when a step lowers the squared error by less than this share of the sum of all squares; at least
            0.
        seed: random seed of the rows that are drawn and of the cluster centres to start from.
        device: device to compute on; the space is always on the CPU.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="convex-nmf", concepts=5)
        >>> space.dictionary.shape, bool((space.encode(activations.matrix()) >= 0).all())
        (torch.Size([5, 12]), True)

    Source:
        Ding, Li, Jordan 2010, IEEE TPAMI 32(1), section 3.2: X ≈ X W Gᵀ with W and G non-negative. Departs from it in
        that codes, and the combination of one direction after the other, are exact solutions given all else in place of
        multiplicative updates (neither ever raises the error), in that directions are scaled to length 1, and in the
        drawn rows.
    """

    concepts: int = 20
    rows: int = 500
    steps: int = 300
    tolerance: float = 1e-4
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.concepts, self.rows, self.steps) < 1 or self.tolerance < 0:
            raise InputError(f"{self}: at least 1 concept, row and step and a tolerance of at least 0 are needed.")
        if self.rows < self.concepts:
            raise InputError(f"{self.concepts} concepts are to be combined from {self.rows} rows; allow more rows.")

    def fit(self, activations: Activations) -> AdditiveSpace:
        """Learn the directions.

        Returns:
            The space. Its history holds `loss`, the squared error as a share of the sum of squares, which never rises.

        Raises:
            InputError: all activations are zero, or all rows that were drawn are.
        """
        start = started(activations, self.concepts, self.seed, self.device, best_dictionary)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = activations.sample(self.rows, generator).to(start.part)
        drawn = drawn[drawn.any(dim=1)]
        if not len(drawn):
            raise InputError(f"all of the {self.rows} rows drawn are zero; draw more, or leave out rows of zero.")
        combined = Combinations(drawn, start.dictionary)
        begun = start._replace(dictionary=combined.directions())
        return alternated(activations, begun, combined.improved, self.steps, self.tolerance)


class Combinations:
    """Directions as non-negative sums of given rows, improved in place.

    Args:
        rows: none of them zero.
        centres: of clusters: each direction starts as the sum of the rows that are nearest to one, or where they are
            none or cancel out as the row nearest to it.

    Attributes:
        weights: of each row in each direction (c, m), for rows of length 1.
    """

    def __init__(self, rows: Float[Tensor, "m d"], centres: Float[Tensor, "c d"]) -> None:
        length = rows.norm(dim=1)
        self.rows = rows / length[:, None]
        near = centres @ self.rows.T
        weights = one_hot(near.argmax(dim=0), len(centres)).T * length
        nearest = one_hot(near.argmax(dim=1), len(rows)).to(weights)
        self.weights = self._scaled(weights.where(self._stands(weights), nearest))
        self.gram = self.rows @ self.rows.T
        self.heavy = self.gram + INERTIA * torch.eye(len(rows)).to(rows)

    def directions(self) -> Float[Tensor, "c d"]:
        """Of length 1."""
        return normalize(self.weights @ self.rows, dim=1)

    def improved(self, sums: Sums, _dictionary: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
        """Each combination in turn at its best for what the others are, held a little to where it was.

        Source:
            Minimises ‖X - Z A R‖² + M_jj ρ ‖a_j - old‖² in a_j >= 0, where M = ZᵀZ; the second term keeps the first
            from rising whatever its size.
        """
        pull = sums.cross @ self.rows.T  # (c, m)
        weights = self.weights.clone()
        for j in (sums.moment.diagonal() > 0).nonzero().flatten().tolist():
            missed = (pull[j] - sums.moment[j] @ weights @ self.gram) / sums.moment[j, j]
            target = (missed + weights[j] @ self.heavy)[None]
            best = nnls(self.heavy, target, weights[[j]] > 0)
            weights[[j]] = best.where(self._stands(best), weights[[j]])
        self.weights = self._scaled(weights)
        directions: Tensor = weights @ self.rows
        return directions

    def _stands(self, weights: Float[Tensor, "c m"]) -> Bool[Tensor, "c 1"]:
        length: Tensor = (weights @ self.rows).norm(dim=1, keepdim=True)
        return length > CANCELLED * weights.sum(dim=1, keepdim=True)

    def _scaled(self, weights: Float[Tensor, "c m"]) -> Float[Tensor, "c m"]:
        scaled: Tensor = weights / (weights @ self.rows).norm(dim=1, keepdim=True)
        return scaled
