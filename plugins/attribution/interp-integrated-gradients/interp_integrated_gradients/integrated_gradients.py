"""Integrated gradients along a Gauss-Legendre path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class IntegratedGradients:
    """The way from the baseline to the input, times the mean gradient on it, summed over the width of each feature.

    The scores of all units add up to score(input) - score(baseline), as exactly as the integral is computed: `steps`
    nodes are exact where the gradient along the path is a polynomial of degree 2 steps - 1 or less.

    Args:
        steps: nodes of the quadrature; each costs one forward and one backward row for each target.

    Source: Sundararajan, Taly, Yan 2017, arXiv:1703.01365, equation 1, with Gauss-Legendre nodes in place of a
        Riemann sum.
    """

    steps: int = 32

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; at least 1 is needed.")

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Signed scores; reduced over the width after averaging, so that completeness holds."""
        shift = question.x - question.baseline  # (f, d)
        share, weight = gauss_legendre(self.steps)
        path = question.baseline + share[:, None, None].to(shift) * shift  # (p, f, d)
        slope: Tensor | float = 0.0
        for w, gradient in zip(weight.tolist(), question.gradients(path), strict=True):
            slope = slope + w * gradient  # (k, f, d)
        return question.pool((shift * slope).sum(dim=-1))


def gauss_legendre(steps: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """Nodes and weights of the quadrature on [0, 1]; the weights add up to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
