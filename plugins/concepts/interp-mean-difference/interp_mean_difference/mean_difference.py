"""Directions from the mean of the rest to the mean of a class."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations
from interp_core.concepts import AffineSpace

from interp_mean_difference.means import class_means


@dataclass(frozen=True)
class MeanDifference:
    """For each class the mean of the rows that have it, less the mean of the rows that do not.

    A code is the place of a row on the way from the one mean to the other: 1/2 at the mean of the class, -1/2 at the
    mean of the rest, and 0, the threshold, halfway. Adding a concept once moves a row from the rest to the class, which
    makes its dictionary a set of steering vectors. Directions of different classes are not orthogonal: their codes
    overlap, and decoding is no reconstruction.

    The closed form needs one pass over the rows in batches. Threshold and direction ignore how rows are spread around
    their means; `linear-probe` and `centroid` with "mahalanobis" do not.

    Args:
        normalised: directions of length one, and codes that are distances in units of the activations; else directions
            are as long as the means are apart.

    Source: the mass-mean direction of Marks, Tegmark 2023, arXiv:2310.06824, section 5, with all other rows in place
    of one opposite class; contrastive activation addition, Rimsky et al. 2023, arXiv:2312.06681, without pairs.
    """

    normalised: bool = False

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn a direction for each class, in the order of the classes, which give their names.

        Raises:
            InputError: no classes, a class that all rows have, or one whose mean is that of the other rows.
        """
        means = class_means(activations)
        direction = means.inside - means.outside
        if self.normalised:
            direction = direction / direction.norm(dim=1, keepdim=True)
        encoder = direction / direction.square().sum(1, keepdim=True)
        halfway = (encoder * (means.inside + means.outside) / 2).sum(1)
        # what decodes from codes of zero, so that the mean row stays
        origin = means.overall - (encoder @ means.overall - halfway) @ direction
        space = AffineSpace(direction, encoder, origin, encoder @ origin - halfway)
        space.names = means.names
        return space
