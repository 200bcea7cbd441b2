"""SquareGrad: mean squared gradient under noise."""

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
    """SquareGrad: the mean squared gradient under Gaussian noise, summed over the width of each feature.

    Scores are at least 0, in the unit of the score squared for an embedding that moves by a length of 1, and do not add
    up: a unit that speaks for the target and one that speaks against it look alike. Noise is drawn in pairs of opposite
    sign; standard errors are those of the means of pairs. The cost is one forward and backward row for each sample and
    target.

    Args:
        samples: number of noisy inputs, at least 4. They are taken in pairs; of an odd number one is left out.
        noise: standard deviation of the noise as a share of `question.spread`, the standard deviation of a coordinate
            of the model's embeddings; positive. It is added to all features, those that belong to no unit included.
            With much noise the mean is dominated by a few large squares, and the errors of few samples are too small:
            with 1 take at least 256 samples.
        tolerance: stop once no standard error is above it, in the unit of the scores; positive. None takes all samples.
        seed: random seed of the noise.

    Raises:
        InputError: `samples` is below 4, or `noise` or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="square-grad")
        >>> bool((found.scores > 0).all()), bool((found.error > 0).all())
        (True, True)

    Source:
        Hooker et al. 2019, arXiv:1806.10758, section 4.1 (SmoothGrad-Squared). Departs from it in the pairs, and in the
        unit of the noise, which is not relative to the range of the input.
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
        """Score every unit for every target.

        Returns:
            Scores of at least 0, and their standard errors.
        """
        generator = torch.Generator().manual_seed(self.seed)

        def draw(pairs: int) -> Float[Tensor, "n k u"]:
            noise = torch.randn(pairs, *question.x.shape, generator=generator).to(question.x)
            both = torch.stack([noise, -noise], dim=1).flatten(0, 1)
            slopes = question.gradients(question.x + self.noise * question.spread * both)
            scores = torch.stack([slope.square().sum(dim=-1) for slope in slopes])  # (2 pairs, k, f)
            return question.pool(scores.flatten(0, 1)).reshape(pairs, 2, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // 2, 2), self.tolerance)
