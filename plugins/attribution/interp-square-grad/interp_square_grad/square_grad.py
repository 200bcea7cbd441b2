"""SquareGrad: the mean square of the gradient under noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SquareGrad:
    """The mean square of the gradient under noise, added up over the width of each feature.

    Never negative: a unit for the target and one against it look alike. In units of the score squared, for an embedding
    that moves by a length of 1. Noise comes in opposite pairs; errors are those of the means of pairs.

    Args:
        samples: how many noisy inputs, at least 4; taken in pairs, so that of an odd number one is left out.
        noise: standard deviation of the noise in units of `question.spread`, the standard deviation of a coordinate
            over the model's embeddings. All features get it, also those that are in no unit. With much noise a few
            large squares make up the mean and errors of few samples are too small: at 1 take 256 samples or more.
        tolerance: stop once no standard error is above it, in the units of the answer; None for all samples.
        seed: of the noise.

    Source: Hooker et al. 2019, arXiv:1806.10758, section 4.1 (SmoothGrad-Squared). Departs from it in the pairs, and in
        the measure of noise, which is not relative to the range of the input.
    """

    samples: int = 64
    noise: float = 0.1
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)
        if not self.noise > 0:
            raise InputError(f"noise is {self.noise}; a positive share was expected. Without any use saliency.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Scores of at least zero and their standard errors."""
        generator = torch.Generator().manual_seed(self.seed)

        def draw(pairs: int) -> Float[Tensor, "n k u"]:
            noise = torch.randn(pairs, *question.x.shape, generator=generator).to(question.x)
            both = torch.stack([noise, -noise], dim=1).flatten(0, 1)
            slopes = question.gradients(question.x + self.noise * question.spread * both)
            scores = torch.stack([slope.square().sum(dim=-1) for slope in slopes])  # (2 pairs, k, f)
            return question.pool(scores.flatten(0, 1)).reshape(pairs, 2, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // 2, 2), self.tolerance)
