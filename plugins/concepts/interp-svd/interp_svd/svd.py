"""Truncated singular value decomposition from streamed moments."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError


@dataclass(frozen=True)
class SVD:
    """Truncated singular value decomposition (SVD): orthogonal directions through the origin, by singular value.

    The codes of a row are its coordinates along the right singular vectors, signed, in the units of the activations; no
    matrix of that rank is nearer to the activations. The first direction is mostly that of the mean; use PCA where the
    mean is of no interest. Each direction is oriented so that the third moment of its codes over the rows is positive.
    The history of the space holds `singular values`, largest first.

    Rows are read twice, in batches, and memory is a few matrices (d, d) in float64.

    Args:
        concepts: number of directions, at least 1; at most the rank of the activations.

    Raises:
        InputError: `concepts` is below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="svd", concepts=5)
        >>> space.dictionary.shape, len(space.history["singular values"])
        (torch.Size([5, 12]), 5)

    Source:
        Eckart, Young 1936, by the eigenvectors of XᵀX in float64. Agrees with scikit-learn's TruncatedSVD up to signs.
    """

    concepts: int = 20

    def __post_init__(self) -> None:
        if self.concepts < 1:
            raise InputError(f"{self}: at least 1 concept is needed.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the directions.

        Returns:
            The space, with the singular values in its history.

        Raises:
            InputError: there are more concepts than the rank of the activations.
        """
        origin, squares = moments(activations, centred=False)
        kept = directions(squares, self.concepts, "svd", activations, "the origin")
        values, found = (part[: self.concepts] for part in kept)
        found = orient_by_skewness(activations, found, origin) * found
        space = AffineSpace(found, found)
        space.history = {"singular values": (values * len(activations)).sqrt().tolist()}
        return space
