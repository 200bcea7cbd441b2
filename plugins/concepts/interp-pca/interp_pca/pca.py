"""Principal component analysis from streamed moments."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError


@dataclass(frozen=True)
class PCA:
    """Principal component analysis (PCA): the orthogonal directions of largest variance, largest first.

    Directions are eigenvectors of the covariance of the rows. The codes of a row are its coordinates along them from
    the mean, signed, in the units of the activations; no other directions of that number have a smaller squared error.
    Each direction is oriented so that the third moment of its codes over the rows is positive. The history of the space
    holds `explained variance`, the share of the total variance along each direction.

    Rows are read twice, in batches. Memory is a few matrices (d, d) in float64 (130 MB each for d = 4,096), and time is
    n d² + d³, which is practical up to about 8,000 dimensions.

    Args:
        concepts: number of directions, at least 1; at most the rank of the centred activations.
        whiten: scale the codes to variance 1 (divided by n - 1); reconstructions stay the same.

    Raises:
        InputError: `concepts` is below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="pca", concepts=5)
        >>> space.dictionary.shape, sum(space.history["explained variance"]) > 0.99
        (torch.Size([5, 12]), True)

    Source:
        Pearson 1901; Jolliffe 2002, by the eigenvectors of the covariance in float64. Agrees with scikit-learn's full
        PCA up to signs, which there make the largest entry of a direction positive.
    """

    concepts: int = 20
    whiten: bool = False

    def __post_init__(self) -> None:
        if self.concepts < 1:
            raise InputError(f"{self}: at least 1 concept is needed.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the directions.

        Returns:
            The space, with the explained variance in its history.

        Raises:
            InputError: there are more concepts than directions in which the activations vary.
        """
        mean, covariance = moments(activations)
        kept = directions(covariance, self.concepts, "pca", activations)
        variances, found = (part[: self.concepts] for part in kept)
        found = orient_by_skewness(activations, found, mean) * found
        rows = len(activations)
        size = (variances * rows / (rows - 1)).sqrt()[:, None] if self.whiten else 1.0
        space = AffineSpace(found * size, found / size, mean)
        space.history = {"explained variance": (variances / covariance.trace()).tolist()}
        return space
