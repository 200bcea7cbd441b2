"""VarGrad: how much the gradient varies under noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class VarGrad:
    """The variance of the gradient under noise, added up over the width of each feature.

    Never negative, and zero where the score is linear: it is large for units whose effect depends on what exactly they
    and the others are. In units of the score squared, for an embedding that moves by a length of 1.

    Args:
        samples: how many noisy inputs, at least 4; taken in twos, so that of an odd number one is left out.
        noise: standard deviation of the noise in units of `question.spread`, the standard deviation of a coordinate
            over the model's embeddings. All features get it, also those that are in no unit. With much noise a few
            large squares make up the mean and errors of few samples are too small: at 1 take 256 samples or more.
        tolerance: stop once no standard error is above it, in the units of the answer; None for all samples.
        seed: of the noise.

    Source: Adebayo et al. 2018, arXiv:1810.03307; equation: Hooker et al. 2019, arXiv:1806.10758, section 4.1. Departs
        from them in that the sum of squares is divided by samples - 1, which makes it unbiased, and in the measure of
        noise, which is not relative to the range of the input. Increments as of Welford 1962, Technometrics 4(3).
    """

    samples: int = 64
    noise: float = 0.1
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)
        if not self.noise > 0:
            raise InputError(f"noise is {self.noise}; a positive share was expected. Without any nothing varies.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Scores of at least zero and their standard errors."""
        generator = torch.Generator().manual_seed(self.seed)
        tally = Tally()

        def draw(count: int) -> Float[Tensor, "n k u"]:
            rows = count if tally.count else count + 1  # a first gradient alone has no variance
            noise = torch.randn(rows, *question.x.shape, generator=generator).to(question.x)
            slopes = question.gradients(question.x + self.noise * question.spread * noise)
            scores = torch.stack([added.sum(dim=-1) for added in tally.increments(slopes)])  # (count, k, f)
            return question.pool(scores.flatten(0, 1)).reshape(count, *question.applicable.shape)

        return averaged(draw, 2 * question.afford(self.samples // 2, 2) - 1, self.tolerance)


class Tally:
    """The variance of a stream in increments, of which nothing is kept but the mean.

    Attributes:
        count: how many gradients have been seen.
        mean: of those.
    """

    def __init__(self) -> None:
        self.count, self.mean = 0, torch.zeros(())

    def increments(self, slopes: Iterable[Float[Tensor, "k f d"]]) -> Iterator[Float[Tensor, "k f d"]]:
        """What each gradient but the first adds to the sum of squares about the mean.

        The mean of n - 1 increments is the variance of n gradients. All have the same expectation, being the squares of
        Helmert's contrasts; those of normal gradients are independent, of others nearly.
        """
        for slope in slopes:
            gap = slope - self.mean
            self.count += 1
            self.mean = self.mean + gap / self.count
            if self.count > 1:
                yield gap.square() * ((self.count - 1) / self.count)
