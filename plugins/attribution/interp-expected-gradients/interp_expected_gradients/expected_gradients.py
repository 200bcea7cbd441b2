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
    """Expected gradients: integrated gradients averaged over random references in place of one baseline.

    Each sample draws a reference and a point on the line from it to the input; a feature's score is the mean of (input
    - reference) times the gradient at that point, summed over the width. References have random embeddings of the
    vocabulary in place of the units (`Question.references`), so that no single vector has to stand for an absent word.
    At a layer and for concepts, where only the baseline is known, the method is integrated gradients by sampling.

    Positive scores speak for the target, negative ones against it, in the unit of the score. In expectation they add up
    to score(input) less the mean score of the references. Points are drawn in groups of four whose positions on the
    line are evenly spaced from a random start; standard errors are those of the means of groups. The cost is one
    forward and backward row for each sample and target.

    Args:
        samples: number of points, each with its own reference, at least 8. Points are taken in fours; up to three are
            left out.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of references and points.

    Raises:
        InputError: `samples` is below 8, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="expected-gradients", targets="class 0")
        >>> found.words[int(found.scores.argmax())], bool((found.error > 0).all())
        ('happy', True)

    Source:
        Erion et al. 2021, arXiv:1906.10670. Departs from it in the groups (systematic sampling: Wolter 2007,
        Introduction to Variance Estimation, chapter 8), and in that references are made of the vocabulary and not of
        training texts.
    """

    samples: int = 200
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2 * GROUP, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target.

        Returns:
            Signed scores, and their standard errors.
        """
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
