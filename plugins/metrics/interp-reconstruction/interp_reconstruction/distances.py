"""How far the distribution of reconstructions is from that of the activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.metrics import Score
from jaxtyping import Float, Int
from torch import Tensor

HELD = 2**26  # numbers of activations and reconstructions that are sorted at a time

Moments = tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]


@dataclass(frozen=True)
class FrechetDistance:
    """Fréchet distance between activations and reconstructions, each taken as a normal distribution.

    It is ‖μ₁-μ₂‖² + Tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) for the means and covariances (divided by n) of the two, their squared
    2-Wasserstein distance. The value is at least 0, in squared units of the activations: 0 when both moments agree,
    even if reconstructions are exchanged between rows. Lower is better. It takes a few matrices (d, d) in float64.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="frechet-distance", chance=False).value
        0.0

    Source:
        Dowson, Landau 1982, J. Multivariate Analysis 12(3), equation 4; computed in float64 by symmetric
        eigendecomposition. "FID" usually means this distance on features of an image network; the FID of interpreto is
        `Wasserstein1D`.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "|m1-m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), means and covariances over rows"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the distance over all rows.

        Returns:
            One number for all rows.
        """
        reconstructed = partial(_reconstructed, space, activations)
        return Score(_frechet(moments(activations.batches), moments(reconstructed)), self.higher_is_better)


@dataclass(frozen=True)
class Wasserstein1D:
    """Wasserstein-1 distance between activations and reconstructions in each dimension, averaged over dimensions.

    In one dimension it is the mean distance between the sorted values. The value is at least 0, in the units of the
    activations, and lower is better. It sees neither which row is which nor how dimensions depend on each other. With
    many rows a few dimensions are sorted at a time, and the rows are read and reconstructed again for each part.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="wasserstein-1d", chance=False).value
        0.0

    Source:
        Fel et al. 2023, arXiv:2306.07304, as interpreto computes it, where it is called FID.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "mean over dimensions of the 1-D Wasserstein distance (interpreto calls it FID)"

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the mean distance over dimensions.

        Returns:
            One number for all rows.
        """
        columns = torch.arange(activations.width).split(max(1, HELD // (2 * len(activations))))
        gaps = [wasserstein(*_columns(space, activations, own)) * len(own) for own in columns]
        return Score(sum(gaps) / activations.width, self.higher_is_better)


@dataclass(frozen=True)
class FID(Wasserstein1D):
    """FID as interpreto computes it: `Wasserstein1D` under that name, and no Fréchet distance.

    It is kept so that numbers can be compared with interpreto's; for the Fréchet distance see `FrechetDistance`. In the
    units of the activations; lower is better.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> activations = of_rows(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))  # each dimension is a concept
        >>> interp.measure(space, activations, by="fid", chance=False).value
        0.0

    Source:
        Fel et al. 2023, arXiv:2306.07304, as interpreto computes it.
    """


def _reconstructed(space: ConceptSpace, activations: Activations) -> Iterator[Float[Tensor, "b d"]]:
    """The reconstruction of all rows, a batch of rows at a time."""
    with torch.no_grad():
        yield from (space(part) for part in activations.batches())


def _columns(
    space: ConceptSpace, activations: Activations, own: Int[Tensor, " k"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Some dimensions of all rows, and of their reconstructions."""
    held, start = torch.empty(2, len(own), len(activations)), 0
    for part, reconstruction in zip(activations.batches(), _reconstructed(space, activations), strict=True):
        stop = start + len(part)
        held[0, :, start:stop], held[1, :, start:stop] = part[:, own].T, reconstruction[:, own].T
        start = stop
    return held[0].T, held[1].T


def frechet(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """The squared distance of the normal distributions with the means and covariances of two sets of rows."""
    return _frechet(moments(lambda: iter([one])), moments(lambda: iter([other])))


def _frechet(one: Moments, other: Moments) -> float:
    (mean, spread), (mean_other, spread_other) = one, other
    root = _root(spread)
    # (Σ₁Σ₂)^½ has the trace of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric
    cross = torch.linalg.eigvalsh(root @ spread_other @ root).clamp(min=0).sqrt().sum()
    distance = (mean - mean_other).square().sum() + spread.trace() + spread_other.trace() - 2 * cross
    return max(0.0, float(distance))


def wasserstein(one: Float[Tensor, "n d"], other: Float[Tensor, "n d"]) -> float:
    """The mean distance of the sorted values of each dimension."""
    pairs = zip(one.T, other.T, strict=True)
    gaps = [(a.sort().values.double() - b.sort().values.double()).abs().sum() for a, b in pairs]
    return float(torch.stack(gaps).sum() / one.numel())


def moments(parts: Callable[[], Iterable[Float[Tensor, "b d"]]]) -> Moments:
    """Mean and covariance (divided by n) of rows that come in parts, gone through twice."""
    count, total = 0, torch.zeros(())
    for part in parts():
        count, total = count + len(part), total + part.sum(0, dtype=torch.float64)
    mean = total / count
    spread = sum((centred.T @ centred for centred in (part.double() - mean for part in parts())), torch.zeros(()))
    return mean, spread / count


def _root(spread: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    values, vectors = torch.linalg.eigh(spread)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
