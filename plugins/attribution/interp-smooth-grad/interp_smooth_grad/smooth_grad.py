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
    """SmoothGrad times input: the mean gradient under Gaussian noise, times (input - baseline), summed over the width.

    Noise is drawn in pairs of opposite sign, so that what is linear in the gradient cancels. A linear score is
    explained exactly, whatever the noise.

    Scores are in the unit of the score; positive ones speak for the target, negative ones against it; they need not add
    up. Standard errors are those of the means of pairs. The cost is one forward and backward row for each sample and
    target.

    Args:
        samples: number of noisy inputs, at least 4. They are taken in pairs; of an odd number one is left out.
        noise: standard deviation of the noise as a share of `question.spread`, the standard deviation of a coordinate
            of the model's embeddings; positive. It is added to all features, those that belong to no unit included.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of the noise.

    Raises:
        InputError: `samples` is below 4, or `noise` or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="smooth-grad", targets="class 0")
        >>> found.scores
        tensor([[ 3.,  0., -2.]])

    Source:
        Smilkov et al. 2017, arXiv:1706.03825. Departs from it in the pairs; in the unit of the noise (the paper takes
        10 to 20 % of the input's range; a text in small BERTs ranges over 7 to 8 spreads); and in that the mean
        gradient is always multiplied by (input - baseline). Its plain sum over the width is zero in every model that
        subtracts the mean from its embeddings, as layer normalisation does.
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
        """Score every unit for every target.

        Returns:
            Signed scores, and their standard errors.
        """
        generator = torch.Generator().manual_seed(self.seed)
        shift = question.x - question.baseline  # (f, d)

        def draw(pairs: int) -> Float[Tensor, "n k u"]:
            noise = torch.randn(pairs, *question.x.shape, generator=generator).to(question.x)
            both = torch.stack([noise, -noise], dim=1).flatten(0, 1)
            slopes = question.gradients(question.x + self.noise * question.spread * both)
            scores = torch.stack([(shift * slope).sum(dim=-1) for slope in slopes])  # (2 pairs, k, f)
            return question.pool(scores.flatten(0, 1)).reshape(pairs, 2, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // 2, 2), self.tolerance)
