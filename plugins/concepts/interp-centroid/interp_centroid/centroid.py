"""Nearness to the centres of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError, unknown
from interp_mean_difference.means import ClassMeans, class_means
from jaxtyping import Float
from torch import Tensor

from interp_centroid.cosine import CosineSpace

DISTANCES = ("cosine", "squared-l2", "mahalanobis")
SMALLEST = 1e-10  # of the largest variance: a covariance with less than this in some direction cannot be inverted


@dataclass(frozen=True)
class Centroid:
    """Nearest centroid: how near a row is to the mean of the rows of each class; higher codes are nearer.

    With μ the mean of all rows, the code of a row x is, by `distance`:

    - `"cosine"`: the cosine between x - μ and the class mean less μ, from -1 to 1.
    - `"squared-l2"`: ‖x - μ‖² - ‖x - μ_class‖², by how much nearer the row is to the class mean than to μ, in squared
      units of the activations. Codes are affine in the row, and the largest names the nearest class mean.
    - `"mahalanobis"`: the same with squared distances (x - μ)ᵀ Σ⁻¹ (x - μ), where Σ is the covariance within classes,
      pooled over all. The largest code is the decision of linear discriminant analysis with equal priors.

    Rows are read in batches: once for the class means, and once more for Σ, which takes d² numbers.

    Args:
        distance: `"cosine"`, `"squared-l2"` or `"mahalanobis"`.
        shrinkage: for `"mahalanobis"`, the share of Σ, from 0 to 1, that is replaced by its mean variance in all
            directions: (1 - shrinkage) Σ + shrinkage · tr(Σ) / d · I. With 0 a singular Σ is refused.

    Raises:
        InputError: `distance` is unknown, or `shrinkage` is outside [0, 1].

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = interp.fit_concepts(activations, by="centroid")
        >>> space.names, space.encode(rows).argmax(1)
        (['joy', 'anger'], tensor([0, 0, 1, 1]))

    Source:
        Nearest centroids: Tibshirani et al. 2002, PNAS 99(10), without shrunken centroids. Linear discriminant
        analysis: Fisher 1936, Annals of Eugenics 7(2). A row of several classes counts towards Σ once for each of them,
        a row of none not at all.
    """

    distance: str = "cosine"
    shrinkage: float = 0.01

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise InputError(unknown("distance", self.distance, DISTANCES))
        if not 0 <= self.shrinkage <= 1:
            raise InputError(f"shrinkage {self.shrinkage} is outside [0, 1]: it is a share of the covariance.")

    def fit(self, activations: Activations) -> ConceptSpace:
        """Learn the mean of each class, in the order of the classes, whose names the concepts take.

        Returns:
            The space. The direction of a concept leads from the mean of all rows to that of the class. Its length
            raises the code by 1; for `"cosine"` it is the root mean square distance of the rows from their mean.

        Raises:
            InputError: there are no classes, all rows have one class, the mean of a class is that of the other rows,
                or, for `"mahalanobis"`, rows do not vary within classes.
        """
        means = class_means(activations)
        away = means.inside - means.overall
        if self.distance == "cosine":
            length = spread(activations, means.overall) / away.norm(dim=1, keepdim=True)
            space: ConceptSpace = CosineSpace(length * away, means.overall)
        else:
            # ‖z‖² - ‖z - a‖² = 2 z·a - ‖a‖² for z = x - μ and a = μ_class - μ, in the metric Σ⁻¹
            facing = away
            if self.distance == "mahalanobis":
                facing = torch.cholesky_solve(away.T, self._root(activations, means)).T
            squared = (facing * away).sum(1)
            space = AffineSpace(away / (2 * squared[:, None]), 2 * facing, means.overall, -squared)
        space.names = means.names
        return space

    def _root(self, activations: Activations, means: ClassMeans) -> Float[Tensor, "d d"]:
        """The Cholesky root of the covariance within classes."""
        covariance = within(activations, means)
        width = activations.width
        ridge = self.shrinkage * covariance.trace() / width
        covariance = (1 - self.shrinkage) * covariance + ridge * torch.eye(width, dtype=torch.float64)
        variances = torch.linalg.eigvalsh(covariance)
        if not float(variances[0]) > SMALLEST * float(variances[-1]):
            raise InputError(
                f"the covariance of {activations.layer!r} within classes cannot be inverted: its variances go from "
                f"{max(float(variances[0]), 0):.3g} to {float(variances[-1]):.3g}. Raise shrinkage ({self.shrinkage}), "
                "give more texts, or take 'squared-l2'."
            )
        root: Tensor = torch.linalg.cholesky(covariance)
        return root


def within(activations: Activations, means: ClassMeans) -> Float[Tensor, "d d"]:
    """The covariance of rows around the centre of their class, over all pairs of a row and a class it has."""
    away = means.inside - means.overall
    count = means.member.double().sum(0)
    total = torch.zeros(activations.width, activations.width, dtype=torch.float64)
    start = 0
    for part in activations.batches():
        rows = part.double() - means.overall
        weight = means.member[start : start + len(rows)].double().sum(1)
        total += (weight[:, None] * rows).T @ rows
        start += len(rows)
    return (total - (count[:, None] * away).T @ away) / count.sum()


def spread(activations: Activations, mean: Float[Tensor, " d"]) -> float:
    """The root of the mean squared distance of a row from the mean."""
    squares = sum(float((part.double() - mean).square().sum()) for part in activations.batches())
    return float((squares / len(activations)) ** 0.5)
