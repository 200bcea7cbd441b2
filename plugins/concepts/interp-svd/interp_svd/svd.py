"""Truncated singular value decomposition from streamed moments."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError


@dataclass(frozen=True)
class SVD:
    """Finds orthogonal directions through the origin that hold most of the squares of the activations, greatest first.

    The codes of a row are its coordinates along them, signed, in the units of the activations; no matrix of that rank
    is nearer to the activations. The first direction is mostly that of the mean; use PCA where the mean is of no
    interest. Each is turned so that the sum of the cubes of its codes over the rows it was learnt from is positive. The
    `history` of the space holds `singular values`. Any number of rows is read twice, in batches; memory is a few
    matrices (d, d) of float64.

    Args:
        concepts: how many directions; at most the rank of the activations.

    Source: Eckart, Young 1936, by the eigenvectors of XᵀX in float64. Agrees with scikit-learn's TruncatedSVD up to
    signs.
    """

    concepts: int = 20

    def __post_init__(self) -> None:
        if self.concepts < 1:
            raise InputError(f"{self}: at least 1 concept is needed.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the directions.

        Raises:
            InputError: more concepts than directions that the activations have.
        """
        origin, squares = moments(activations, centred=False)
        kept = directions(squares, self.concepts, "svd", activations, "the origin")
        values, found = (part[: self.concepts] for part in kept)
        found = orient_by_skewness(activations, found, origin) * found
        space = AffineSpace(found, found)
        space.history = {"singular values": (values * len(activations)).sqrt().tolist()}
        return space
