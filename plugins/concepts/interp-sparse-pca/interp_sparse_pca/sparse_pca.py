"""Sparse principal component analysis from streamed moments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations, directions, moments, orient_by_skewness
from interp_core.concepts import AffineSpace
from interp_core.display import progress_bar
from interp_core.errors import InputError
from interp_dictionary_learning.lasso import lasso
from interp_dictionary_learning.online import improved
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SparsePCA:
    """Sparse principal component analysis: directions of large variance that have few dimensions each.

    Directions have length 1, most of their entries are exactly zero, and they need not be orthogonal. The codes of a
    row are its ridge regression on them from the mean, signed, in the units of the activations. Each direction is
    oriented so that the third moment of its codes over the rows is positive. The history of the space holds `objective`
    after each step.

    The squared error depends on the rows through their covariance alone. Rows are read twice, in batches, and memory is
    a few matrices (d, d) in float64.

    Args:
        concepts: number of directions, at least 1; at most the rank of the centred activations.
        penalty: weight of the absolute loadings, above 0: what a code of variance 1 adds to a dimension is zero if it
            would be below this share of the standard deviation of a dimension (root mean square over all of them).
        ridge: penalty on squared codes, above 0, for directions of length 1.
        steps: maximum number of updates of loadings and codes, at least 1. A run that was stopped says so in the notes.
        tolerance: stop when a step lowers the objective by less than this share; at least 0.
        seed: random seed of the directions that replace one that is never used.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world(nonnegative=True)
        >>> space = interp.fit_concepts(activations, by="sparse-pca", concepts=5)
        >>> space.dictionary.shape, bool((space.dictionary == 0).any())
        (torch.Size([5, 12]), True)

    Source:
        The problem of scikit-learn's SparsePCA (Mairal et al. 2009; Jenatton et al. 2010): with u_k of length 1, ½ ‖X -
        U V‖² + a Σ|V|, improved in turns for V and U as there. Departs from it in that X is replaced by a root R of its
        scatter matrix, RᵀR = XᵀX, which changes neither V nor the objective, as X = Q R with orthonormal columns of Q;
        and in that X is divided by √(trace(XᵀX) / d) and a = penalty, so that neither the unit nor the number of rows
        matters. In these units the results agree.
    """

    concepts: int = 20
    penalty: float = 0.1
    ridge: float = 0.01
    steps: int = 300
    tolerance: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.concepts, self.steps) < 1 or self.tolerance < 0 or min(self.penalty, self.ridge) <= 0:
            raise InputError(
                f"{self}: at least 1 concept and 1 step, a tolerance of at least 0 and a positive penalty and ridge "
                "are needed."
            )

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn the directions.

        Returns:
            The space; notes say if the updates were stopped, or if directions are zero.

        Raises:
            InputError: there are more concepts than directions in which the activations vary.
        """
        mean, covariance = moments(activations)
        variances, axes = directions(covariance, self.concepts, "sparse-pca", activations)
        root = (variances / variances.sum() * len(covariance)).sqrt()[:, None] * axes  # in units of the spread
        loadings, objective = self._factors(root)
        found = torch.nn.functional.normalize(loadings, dim=1, eps=torch.finfo().tiny)
        encoder = torch.linalg.solve(found @ found.T + self.ridge * torch.eye(self.concepts).double(), found)
        turn = orient_by_skewness(activations, encoder, mean)
        space = AffineSpace(turn * found, turn * encoder, mean)
        space.history = {"objective": objective}
        space.notes = self._notes(objective, unused=int((found == 0).all(1).sum()))
        return space

    def _factors(self, root: Float[Tensor, "r d"]) -> tuple[Float[Tensor, "c d"], list[float]]:
        """The loadings V, and the objective after each step: the lasso for V, then the best u for it, in turns."""
        generator = torch.Generator().manual_seed(self.seed)
        dims = root.T.contiguous()  # a row for each dimension, whose codes are its loadings
        units = torch.diag(root.norm(dim=1))[: self.concepts]  # the singular vectors of the rows of a root are its axes
        objective: list[float] = []
        for _ in progress_bar(range(self.steps), "sparse PCA"):
            loadings = lasso(units @ units.T, dims @ units.T, self.penalty)
            units = improved(units, loadings.T @ loadings, loadings.T @ dims, dims, generator)
            missed = (dims - loadings @ units).square().sum()
            objective.append(float(0.5 * missed + self.penalty * loadings.abs().sum()))
            if self._settled(objective):
                break
        return loadings.T, objective

    def _settled(self, objective: list[float]) -> bool:
        return len(objective) > 1 and objective[-2] - objective[-1] < self.tolerance * objective[-1]

    def _notes(self, objective: list[float], unused: int) -> tuple[str, ...]:
        settled = self._settled(objective)
        notes = [] if settled else [f"sparse-pca did not settle within {self.steps} steps; allow more."]
        if unused:
            notes.append(f"{unused} of {self.concepts} directions are zero; lower the penalty, or ask for fewer.")
        return tuple(notes)
