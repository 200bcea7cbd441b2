"""Directions from the mean of the rest to the mean of a class."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations
from interp_core.concepts import AffineSpace

from interp_mean_difference.means import class_means


@dataclass(frozen=True)
class MeanDifference:
    """Difference of means: for each class the mean of the rows that have it, less the mean of the rows that do not.

    A code is the position of a row between the two means: 1/2 at the mean of the class, -1/2 at the mean of the rest,
    and 0, the threshold, halfway. Adding a concept once moves a row from the rest to the class, so that the dictionary
    is a set of steering vectors. Directions of different classes are not orthogonal, so their codes overlap, and
    decoding is no reconstruction.

    The closed form takes one pass over the rows, in batches. Threshold and direction ignore how rows are spread around
    their means; `linear-probe` and `centroid` with `"mahalanobis"` do not.

    Args:
        normalised: give directions length 1 and make codes distances in the units of the activations; otherwise
            directions are as long as the means are apart.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = interp.fit_concepts(activations, by="mean-difference")
        >>> space.dictionary[0], space.encode(rows)[:, 0]
        (tensor([2., 0.]), tensor([ 0.5000,  0.5000, -0.5000, -0.5000]))

    Source:
        The mass-mean direction of Marks, Tegmark 2023, arXiv:2310.06824, section 5, with all other rows in place of one
        opposite class; contrastive activation addition, Rimsky et al. 2023, arXiv:2312.06681, without pairs.
    """

    normalised: bool = False

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn a direction for each class, in the order of the classes, whose names the concepts take.

        Returns:
            The space, with a concept for each class.

        Raises:
            InputError: there are no classes, all rows have one class, or the mean of a class is that of the other rows.
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
