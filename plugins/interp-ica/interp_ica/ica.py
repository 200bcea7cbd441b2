"""Independent component analysis by FastICA."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

FLOAT32 = 1.2e-7  # activations carry no more digits than this


class ICASpace(ConceptSpace):
    """Independent components: a row is the mean plus its codes times the dictionary (the mixing matrix).

    Codes are signed, of mean 0 and variance 1 where the space was learnt. Each component is turned so that its codes
    are skewed to the positive side, so that "active" means positive; components come in the order of the variance they
    give to the activations, greatest first. Encoding and decoding are affine, and differentiable.

    Args:
        dictionary: (c, d), what one unit of each component adds.
        unmixing: (c, d), the code of each component from a row less the mean.
        mean: (d).
    """

    unmixing: Tensor
    mean: Tensor

    def __init__(
        self, dictionary: Float[Tensor, "c d"], unmixing: Float[Tensor, "c d"], mean: Float[Tensor, " d"]
    ) -> None:
        super().__init__(dictionary)
        self.register_buffer("unmixing", unmixing.detach().float())
        self.register_buffer("mean", mean.detach().float())

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, of any sign."""
        return (values - self.mean) @ self.unmixing.T

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean


@dataclass(frozen=True)
class ICA:
    """Learns directions whose activities are as independent, so as far from a normal distribution, as can be.

    Args:
        concepts: how many components; at most the rank of the activations less their mean.
        steps: how many iterations of FastICA, at most. One that was stopped says so in the notes of its space.
        tolerance: stops when no direction turns by more than this between iterations (1 - |cosine|).
        seed: of the directions to start from.

    Source: Hyvärinen, Oja 2000, Neural Networks 13(4-5), section 6 (symmetric FastICA, log cosh), as in scikit-learn.
    Whitening is by the eigenvectors of the covariance in float64, so that its cost grows with the rows only linearly.
    """

    concepts: int = 20
    steps: int = 400
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.concepts < 1 or self.steps < 1 or self.tolerance <= 0:
            raise InputError(f"{self}: at least 1 concept and 1 step and a positive tolerance are needed.")

    def fit(self, activations: Activations) -> ICASpace:
        """Learn the components.

        Raises:
            InputError: more components than the activations have independent directions.
        """
        values = activations.values.double().numpy()
        self._check_rank(activations)
        fast = FastICA(
            self.concepts,
            whiten="unit-variance",
            whiten_solver="eigh" if values.shape[0] > values.shape[1] else "svd",
            max_iter=self.steps,
            tol=self.tolerance,
            random_state=self.seed,
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            codes = fast.fit_transform(values)
        stopped = any(issubclass(w.category, ConvergenceWarning) for w in said)
        order = np.argsort(-np.square(fast.mixing_).sum(axis=0), kind="stable")
        signs = np.where((codes**3).mean(axis=0) < 0, -1.0, 1.0)[order, None]
        space = ICASpace(
            torch.from_numpy(signs * fast.mixing_.T[order]),
            torch.from_numpy(signs * fast.components_[order]),
            torch.from_numpy(fast.mean_),
        )
        space.notes = (f"FastICA did not settle within {self.steps} steps; allow more.",) if stopped else ()
        return space

    def _check_rank(self, activations: Activations) -> None:
        values = activations.values
        variances = torch.linalg.eigvalsh(torch.cov(values.double().T, correction=0).reshape(values.shape[1], -1))
        rank = int((variances > float(variances.max()) * (values.shape[1] * FLOAT32) ** 2).sum())
        if self.concepts > rank:
            raise InputError(
                f"ica was asked for {self.concepts} concepts, but the {len(values)} rows of {activations.layer!r} "
                f"less their mean span {rank} of {values.shape[1]} directions; ask for at most {rank}, "
                "or give more varied texts."
            )
