"""LIME: a weighted linear model of what happens when units are left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.errors import InputError
from interp_core.question import Question
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Lime:
    """Fits scores = intercept + sum of the weights of the units kept, near the intact text.

    Variants are drawn as in the paper's code for text: how many units to remove uniformly from 1 to u, then which. Each
    counts by its similarity to the intact text, exp(-(1 - cos)² / (2 width²)), where cos = sqrt(share kept): the
    intact text has weight 1, the empty one the least.

    Args:
        samples: how many variants, the intact text included. When all 2^u fit, each is taken once, weighted by how
            often it would be drawn: the answer is then that of infinitely many samples and does not depend on the seed.
        kernel_width: width of the similarity, in units of cosine distance.
        ridge: penalty on the squared weights; with few variants more than their number can be told apart only by it.
        seed: of the draws.

    Source: Ribeiro et al. 2016, arXiv:1602.04938, equation 1 and section 3.4. Departs from it in that no features are
    selected first, since the units are few, and in that repeated variants are evaluated once.
    """

    samples: int = 300
    kernel_width: float = 0.25
    ridge: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2 or self.kernel_width <= 0 or self.ridge < 0:
            raise InputError(
                f"{self}: at least 2 samples, a positive kernel_width and a ridge of at least 0 are needed."
            )

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """The weights of the units."""
        keep, weight = self._variants(len(question.units))
        scores = question.masked(keep).double()
        weight = weight * similarity(keep, self.kernel_width)
        return weighted_ridge(keep.double(), scores, weight, self.ridge)

    def _variants(self, u: int) -> tuple[Bool[Tensor, "p u"], Float[Tensor, " p"]]:
        if u < 31 and 2**u <= self.samples:
            keep = (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1
            return keep, draw_probability(keep)
        generator = torch.Generator().manual_seed(self.seed)
        gone = torch.randint(1, u + 1, (self.samples - 1, 1), generator=generator)
        place = torch.rand(self.samples - 1, u, generator=generator).argsort(dim=1).argsort(dim=1)
        keep = torch.cat([torch.ones(1, u, dtype=torch.bool), place >= gone])
        return keep, torch.ones(len(keep), dtype=torch.float64)


def draw_probability(keep: Bool[Tensor, "p u"]) -> Float[Tensor, " p"]:
    """How often each variant is drawn for every time that the intact one is taken: 1 / (u choose removed), times a
    constant.
    """
    u = torch.tensor(float(keep.shape[1]), dtype=torch.float64)
    gone = (~keep).sum(1).double()
    return torch.exp(torch.lgamma(gone + 1) + torch.lgamma(u - gone + 1) - torch.lgamma(u + 1))


def similarity(keep: Bool[Tensor, "p u"], width: float) -> Float[Tensor, " p"]:
    """Closeness to the intact text: 1 where everything is kept, falling with the number of units removed."""
    distance = 1 - keep.double().mean(dim=1).sqrt()
    return torch.exp(-(distance**2) / (2 * width**2))


def weighted_ridge(
    kept: Float[Tensor, "p u"], scores: Float[Tensor, "p k"], weight: Float[Tensor, " p"], ridge: float
) -> Float[Tensor, "k u"]:
    """Least squares with an intercept that is not penalised; of several solutions the shortest."""
    share = (weight / weight.sum())[:, None]
    left, right = kept - (share * kept).sum(0), scores - (share * scores).sum(0)
    root = share.sqrt()
    rows = torch.cat([root * left, ridge**0.5 * torch.eye(kept.shape[1], dtype=kept.dtype)])
    values = torch.cat([root * right, scores.new_zeros(kept.shape[1], scores.shape[1])])
    solution: Tensor = torch.linalg.lstsq(rows, values, driver="gelsd").solution
    return solution.T
