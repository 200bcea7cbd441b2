"""GradientSHAP: gradients at random points between the baseline and noisy copies of the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float
from torch import Tensor

GROUP = 8


@dataclass(frozen=True)
class GradientShap:
    """GradientSHAP: integrated gradients averaged over copies of the input with Gaussian noise.

    Each sample draws a noisy copy of the input and a point on the line from the baseline to it; a feature's score is
    the mean of (copy - baseline) times the gradient at that point, summed over the width.

    Positive scores speak for the target, negative ones against it, in the unit of the score. In expectation they add up
    to the mean score of the copies less score(baseline). Points are drawn in groups of eight: their positions on the
    line are evenly spaced from a random start, and the noise of four copies is that of the other four with the opposite
    sign. A linear score is therefore explained exactly, and standard errors, which are those of the means of groups,
    are a fraction of those of independent points. The cost is one forward and backward row for each sample and target.

    Args:
        samples: number of points, at least 16. Points are taken in eights; up to seven are left out.
        noise: standard deviation of the noise as a share of `question.spread`, the standard deviation of a coordinate
            of the model's embeddings; at least 0. With 0 the method is integrated gradients by sampling.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of points and noise.

    Raises:
        InputError: `samples` is below 16, `noise` is negative, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="gradient-shap", targets="class 0")
        >>> found.scores.round(decimals=3)
        tensor([[ 3.,  0., -2.]])

    Source:
        Erion et al. 2021, arXiv:1906.10670 (expected gradients), with the baseline as the only reference and noise on
        the input, which captum calls GradientShap after Lundberg, Lee 2017, arXiv:1705.07874. Departs from both in the
        groups (systematic sampling: Wolter 2007, Introduction to Variance Estimation, chapter 8).
    """

    samples: int = 128
    noise: float = 0.1
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2 * GROUP, self.tolerance)
        if not self.noise >= 0:
            raise InputError(f"noise is {self.noise}; a share of at least 0 was expected.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target.

        Returns:
            Signed scores, and their standard errors.
        """
        generator = torch.Generator().manual_seed(self.seed)
        size = self.noise * question.spread

        def draw(groups: int) -> Float[Tensor, "n k u"]:
            start = torch.rand(groups, 1, generator=generator)
            share = ((start + torch.arange(GROUP)) / GROUP).flatten().to(question.x)  # (p)
            half = torch.randn(groups, GROUP // 2, *question.x.shape, generator=generator)
            noise = torch.cat([half, -half], dim=1).flatten(0, 1).to(question.x)  # (p, f, d)
            ways = question.x + size * noise - question.baseline
            slopes = question.gradients(question.baseline + share[:, None, None] * ways)
            scores = torch.stack([(way * slope).sum(dim=-1) for way, slope in zip(ways, slopes, strict=True)])
            return question.pool(scores.flatten(0, 1)).reshape(groups, GROUP, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // GROUP, GROUP), self.tolerance)
