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
    """Independent component analysis (ICA): directions whose codes are as statistically independent as possible.

    A row is the mean plus its codes times the dictionary (the mixing matrix). FastICA finds the codes that are furthest
    from a normal distribution.

    Codes are signed, of mean 0 and variance 1 over the rows that were learnt from. Each component is oriented so that
    its codes are skewed to the positive side; components are ordered by the variance they contribute to the
    activations, largest first. The activations are read in batches; memory holds a matrix (rows, concepts) in float32
    and a few copies of it.

    Args:
        concepts: number of components, at least 1; at most the rank of the centred activations.
        steps: maximum number of iterations of FastICA, at least 1. A run that was stopped says so in the notes.
        tolerance: stop when no direction turns by more than this between iterations (1 - |cosine|); positive.
        seed: random seed of the directions to start from.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="ica", concepts=5)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes.var(0) - 1).abs().max() < 0.01)
        (torch.Size([800, 5]), True)

    Source:
        Hyvärinen, Oja 2000, Neural Networks 13(4-5), section 6 (symmetric FastICA, log cosh), as in scikit-learn.
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

        Returns:
            The space; a note says if FastICA was stopped before it converged.

        Raises:
            InputError: there are more components than directions in which the activations vary.
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
