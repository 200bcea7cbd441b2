"""Independent component analysis by FastICA."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError
from jaxtyping import Float
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor


@dataclass(frozen=True)
class ICA:
    """Learns directions whose activities are as independent, so as far from a normal distribution, as can be.

    A row is the mean plus its codes times the dictionary (the mixing matrix). Codes are signed, of mean 0 and variance
    1 where the space was learnt. Each component is turned so that its codes are skewed to the positive side, so that
    "active" means positive; components come in the order of the variance they give to the activations, greatest first.
    Memory is a matrix (rows, concepts) and a few copies of it in float32; the activations are read in batches.

    Args:
        concepts: how many components; at most the rank of the activations less their mean.
        steps: how many iterations of FastICA, at most. One that was stopped says so in the notes of its space.
        tolerance: stops when no direction turns by more than this between iterations (1 - |cosine|).
        seed: of the directions to start from.

    Source: Hyvärinen, Oja 2000, Neural Networks 13(4-5), section 6 (symmetric FastICA, log cosh), as in scikit-learn.
    Whitening is by the eigenvectors of the covariance in float64, summed over batches; iterations are in float32.
    """

    concepts: int = 20
    steps: int = 400
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.concepts < 1 or self.steps < 1 or self.tolerance <= 0:
            raise InputError(f"{self}: at least 1 concept and 1 step and a positive tolerance are needed.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the components.

        Raises:
            InputError: more components than the activations have independent directions.
        """
        mean, covariance = moments(activations)
        kept = directions(covariance, self.concepts, "ica", activations)
        variances, axes = (part[: self.concepts] for part in kept)
        axes = torch.where(axes[:, :1] < 0, -axes, axes)  # as scikit-learn has them, so that it starts from the same
        size = variances.sqrt()[:, None]
        whitening = (axes / size).T
        white = torch.cat([((part.double() - mean) @ whitening).float() for part in activations.batches()])
        rotation, settled = self._rotation(white)
        encoder, mixing = rotation @ (axes / size), rotation @ (axes * size)
        order = mixing.square().sum(1).argsort(descending=True, stable=True)
        turn = orient_by_skewness(activations, encoder[order], mean)
        space = AffineSpace(turn * mixing[order], turn * encoder[order], mean)
        space.notes = () if settled else (f"FastICA did not settle within {self.steps} steps; allow more.",)
        return space

    def _rotation(self, white: Float[Tensor, "n c"]) -> tuple[Float[Tensor, "c c"], bool]:
        """What turns white rows into independent ones, and whether it settled."""
        fast = FastICA(whiten=False, max_iter=self.steps, tol=self.tolerance, random_state=self.seed)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            fast.fit(white.numpy())
        settled = not any(issubclass(w.category, ConvergenceWarning) for w in said)
        left, _, right = torch.linalg.svd(torch.from_numpy(fast.components_).double())  # orthonormal up to rounding
        return left @ right, settled
