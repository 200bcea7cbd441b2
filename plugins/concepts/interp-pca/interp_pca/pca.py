"""Principal component analysis from streamed moments."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError


@dataclass(frozen=True)
class PCA:
    """Finds orthogonal directions through the mean in which the activations vary most, greatest first.

    The codes of a row are its coordinates along them, signed, in the units of the activations; no other directions of
    that number give less squared error. Each is turned so that the sum of the cubes of its codes over the rows it was
    learnt from is positive. The `history` of the space holds `explained variance`: the share of the total variance
    along each direction. Any number of rows is read twice, in batches; memory is a few matrices (d, d) of float64
    (130 MB each for d = 4,096), time is n d² + d³, so that up to some 8,000 dimensions are practical.

    Args:
        concepts: how many directions; at most the rank of the activations less their mean.
        whiten: scale the codes to variance 1 (divided by n - 1); reconstructions stay the same.

    Source: Pearson 1901; Jolliffe 2002, by the eigenvectors of the covariance in float64. Agrees with scikit-learn's
    full PCA up to signs, which there make the largest entry of a direction positive.
    """

    concepts: int = 20
    whiten: bool = False

    def __post_init__(self) -> None:
        if self.concepts < 1:
            raise InputError(f"{self}: at least 1 concept is needed.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the directions.

        Raises:
            InputError: more concepts than directions in which the activations vary.
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
