"""VarGrad: variance of the gradient under noise."""

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
    """VarGrad: the variance of the gradient under Gaussian noise, summed over the width of each feature.

    Scores are at least 0, in the unit of the score squared for an embedding that moves by a length of 1, and do not add
    up. They are 0 where the score is linear and large for units whose effect depends on their exact value and on the
    other units. Gradients are not kept in memory, however many samples. The cost is one forward and backward row for
    each sample and target.

    Args:
        samples: number of noisy inputs, at least 4; of an odd number one is left out.
        noise: standard deviation of the noise as a share of `question.spread`, the standard deviation of a coordinate
            of the model's embeddings; positive. It is added to all features, those that belong to no unit included.
            With much noise the variance is dominated by a few large squares, and the errors of few samples are too
            small: with 1 take at least 256 samples.
        tolerance: stop once no standard error is above it, in the unit of the scores; positive. None takes all samples.
        seed: random seed of the noise.

    Raises:
        InputError: `samples` is below 4, or `noise` or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="var-grad")
        >>> bool((found.scores > 0).all()), bool((found.error > 0).all())
        (True, True)

    Source:
        Adebayo et al. 2018, arXiv:1810.03307; equation: Hooker et al. 2019, arXiv:1806.10758, section 4.1. Departs from
        them in that the sum of squares is divided by samples - 1, which makes it unbiased, and in the unit of the
        noise, which is not relative to the range of the input. Increments as in Welford 1962, Technometrics 4(3).
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
        """Score every unit for every target.

        Returns:
            Scores of at least 0, and their standard errors.
        """
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
