"""How far the distribution of reconstructions is from that of the activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor

ROWS = 8192  # reconstructed at a time
COLUMNS = 64  # sorted at a time


@dataclass(frozen=True)
class FrechetDistance:
    """‖μ₁-μ₂‖² + Tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) between activations and reconstructions, in squared units of the activations.

    The squared 2-Wasserstein distance of normal distributions with their means and covariances (divided by n): 0 when
    both agree, even if the rows are exchanged among each other.

    Source: Dowson, Landau 1982, J. Multivariate Analysis 12(3), equation 4; computed in float64 by symmetric
    eigenvectors. Many take "FID" for this distance on features of an image network; interpreto's FID is
    `Wasserstein1D`.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "|m1-m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), means and covariances over rows"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        return Score(frechet(activations.values, reconstructed(space, activations)), self.higher_is_better)


@dataclass(frozen=True)
class Wasserstein1D:
    """The Wasserstein distance between activations and reconstructions of each dimension, on average over dimensions.

    For one dimension it is the mean distance between the sorted values, in units of the activations. It sees neither
    which row is which nor how dimensions go together.

    Source: Fel et al. 2023, arXiv:2306.07304, as interpreto computes it, where it is called FID.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over dimensions of the 1-D Wasserstein distance (interpreto calls it FID)"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """One number for all rows."""
        return Score(wasserstein(activations.values, reconstructed(space, activations)), self.higher_is_better)


@dataclass(frozen=True)
class FID(Wasserstein1D):
    """`Wasserstein1D` under the name that interpreto gives it; no Fréchet distance, for that see `FrechetDistance`.

    Source: Fel et al. 2023, arXiv:2306.07304, as interpreto computes it.
    """


def reconstructed(space: ConceptSpace, activations: Activations) -> Float[Tensor, "n d"]:
    """The reconstruction of all rows, a batch of rows at a time."""
    with torch.no_grad():
        return torch.cat([space(part) for part in activations.values.split(ROWS)])


def frechet(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """The squared distance of the normal distributions with the means and covariances of two sets of rows."""
    (mean, spread), (mean_other, spread_other) = _moments(one), _moments(other)
    root = _root(spread)
    # (Σ₁Σ₂)^½ has the trace of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric
    cross = torch.linalg.eigvalsh(root @ spread_other @ root).clamp(min=0).sqrt().sum()
    distance = (mean - mean_other).square().sum() + spread.trace() + spread_other.trace() - 2 * cross
    return max(0.0, float(distance))


def wasserstein(one: Float[Tensor, "n d"], other: Float[Tensor, "n d"]) -> float:
    """The mean distance of the sorted values of each dimension."""
    pairs = zip(one.split(COLUMNS, dim=1), other.split(COLUMNS, dim=1), strict=True)
    gaps = [(a.sort(dim=0).values.double() - b.sort(dim=0).values.double()).abs().sum() for a, b in pairs]
    return float(torch.stack(gaps).sum() / one.numel())


def _moments(rows: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    mean = rows.double().mean(dim=0)
    parts = [part.double() - mean for part in rows.split(ROWS)]
    return mean, torch.stack([part.T @ part for part in parts]).sum(0) / len(rows)


def _root(spread: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    values, vectors = torch.linalg.eigh(spread)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
