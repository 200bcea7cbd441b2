"""Expected gradients: integrated gradients from many random references in place of one baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float
from torch import Tensor

GROUP = 4


@dataclass(frozen=True)
class ExpectedGradients:
    """The way from a random reference to the input, times the gradient at a random point of it, on average.

    References have random embeddings of the vocabulary in the places of the units (`Question.references`), so that no
    single vector has to stand for nothing. The scores add up to score(input) less the mean score of the references. At
    a layer and for concepts, where only the baseline is known, this is integrated gradients by sampling.

    Points are drawn in groups of four whose shares of the way are evenly spaced from a random start; errors are those
    of the means of groups.

    Args:
        samples: how many points, each with a reference of its own, at least 8; taken in fours, so that up to three are
            left out.
        tolerance: stop once no standard error is above it, in units of the score; None for all samples.
        seed: of references and points.

    Source: Erion et al. 2021, arXiv:1906.10670. Departs from it in the groups (systematic sampling: Wolter
        2007, Introduction to Variance Estimation, chapter 8), and in that references are made of the vocabulary and not
        of training texts.
    """

    samples: int = 200
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2 * GROUP, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Signed scores and their standard errors."""
        generator = torch.Generator().manual_seed(self.seed)

        def draw(groups: int) -> Float[Tensor, "n k u"]:
            start = torch.rand(groups, 1, generator=generator)
            share = ((start + torch.arange(GROUP)) / GROUP).flatten().to(question.x)  # (p)
            references = question.references(groups * GROUP, generator)
            ways = question.x - references  # (p, f, d)
            slopes = question.gradients(references + share[:, None, None] * ways)
            scores = torch.stack([(way * slope).sum(dim=-1) for way, slope in zip(ways, slopes, strict=True)])
            return question.pool(scores.flatten(0, 1)).reshape(groups, GROUP, *question.applicable.shape).mean(dim=1)

        return averaged(draw, question.afford(self.samples // GROUP, GROUP), self.tolerance)
