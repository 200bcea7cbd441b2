"""SmoothGrad: the gradient averaged over noise around the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SmoothGrad:
    """The mean gradient under noise, times (input - baseline), added up over the width of each feature.

    Signs are kept: the sum over the width comes after the mean. Noise comes in opposite pairs, so that what the
    gradient follows linearly cancels; errors are those of the means of pairs. A linear score is explained exactly
    whatever the noise.

    Args:
        samples: how many noisy inputs, at least 4; taken in pairs, so that of an odd number one is left out.
        noise: standard deviation of the noise in units of `question.spread`, the standard deviation of a coordinate
            over the model's embeddings. All features get it, also those that are in no unit.
        tolerance: stop once no standard error is above it, in units of the score; None for all samples.
        seed: of the noise.

    Source: Smilkov et al. 2017, arXiv:1706.03825. Departs from it in the pairs; in the measure of noise (the
        paper takes 10 to 20 % of the input's range; a text in small BERTs ranges over 7 to 8 spreads); and in that the
        mean gradient is always multiplied by (input - baseline). Its plain sum over the width is zero in every model
        that takes the mean from its embeddings, as layer normalisation does.
    """

    samples: int = 64
    noise: float = 1.0
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)
        if not self.noise > 0:
            raise InputError(f"noise is {self.noise}; a positive share was expected. Without any use input-x-gradient.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Signed scores and their standard errors."""
        generator = torch.Generator().manual_seed(self.seed)
        shift = question.x - question.baseline  # (f, d)

        def draw(pairs: int) -> Float[Tensor, "n k u"]:
            noise = torch.randn(pairs, *question.x.shape, generator=generator).to(question.x)
            both = torch.stack([noise, -noise], dim=1).flatten(0, 1)
            slopes = question.gradients(question.x + self.noise * question.spread * both)
            scores = torch.stack([(shift * slope).sum(dim=-1) for slope in slopes])  # (2 pairs, k, f)
            return question.pool(scores.flatten(0, 1)).reshape(pairs, 2, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // 2, 2), self.tolerance)
