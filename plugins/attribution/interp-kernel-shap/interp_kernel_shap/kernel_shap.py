"""Kernel SHAP: Shapley values from a weighted linear fit to pairs of opposite subsets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from interp_core.attribution import Question
from interp_core.statistics import check_sampling, portions, widening
from jaxtyping import Bool, Float
from torch import Tensor

from interp_kernel_shap.pairs import Pairs, count_all, outside_in


@dataclass(frozen=True)
class KernelShap:
    """Shapley values: what a unit adds to the units before it, averaged over all orders of the units.

    They are the weights of the linear function of the units kept that comes closest to the score, when each subset
    counts as the Shapley kernel says. A subset is always taken together with its complement, sizes near the two ends
    are taken whole where a sample would have as many, and the rest is sampled, each subset at most once. The scores
    always add up to score(intact) - score(emptied).

    The standard error is that of the fit, each pair judged by a line fitted without it. With fewer pairs than units
    the line is not determined: the pairs are halves, which tell of every unit, what they cannot tell apart is shared
    equally, and the error is as large as a score typically is.

    Args:
        samples: how many variants, the intact and the empty text included; at least 4. When all 2^u fit, the answer is
            exact, its error 0, and the seed does not matter. With fewer than about 3 u the errors are large.
        tolerance: stop when no standard error is above it, in units of the score; None for all samples.
        seed: of the draws. The same seed with more samples draws mostly the same subsets and some more.

    Source: Lundberg, Lee 2017, arXiv:1705.07874, theorem 2; pairs from Covert, Lee 2021, arXiv:2012.01536. Departs
        from both in that subsets of a size are drawn without replacement and sizes at even distances, so that errors
        are those of a systematic sample (successive differences; Wolter 2007, Introduction to Variance Estimation,
        chapter 8), with the residuals of leave-one-out fits.
    """

    samples: int = 256
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Signed scores and their standard errors. A unit that matters to no target takes no part."""
        able = question.applicable.any(dim=0)
        u = int(able.sum())
        most = min((self.samples - 2) // 2, count_all(u))
        if most:
            most = question.afford(most, 2)
        gap = (question.intact() - question.emptied()).double()
        answer = torch.zeros(2, *question.applicable.shape, dtype=torch.float64)
        for count in accumulate(portions(most, self.tolerance)) if most else (0,):
            pairs = outside_in(u, count, self.seed, few=most < u - 1)
            found = fitted(pairs, differences(question, able, pairs.inside), gap, question.applicable[:, able])
            answer[:, :, able] = torch.stack(found)
            if self.tolerance is not None and bool((answer[1] <= self.tolerance).all()):
                break
        return answer[0], answer[1]


def differences(question: Question, able: Bool[Tensor, " n"], inside: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
    """The score of each subset of the u units that take part less that of its complement."""
    keep = torch.zeros(2, len(inside), len(able), dtype=torch.bool)
    keep[:, :, able] = torch.stack([inside, ~inside])
    one, other = question.masked(keep.flatten(0, 1)).double().chunk(2)
    return one - other


def fitted(
    pairs: Pairs, difference: Float[Tensor, "p k"], gap: Float[Tensor, " k"], applicable: Bool[Tensor, "k u"]
) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
    """The weights of the units, adding up to `gap`, and their standard errors.

    With the weights written as gap / u + line, where the line adds up to 0, the two residuals of a pair are, but for
    what does not depend on the line, ±(y - x · line).
    """
    u = pairs.inside.shape[1]
    share = pairs.inside.double().mean(dim=1, keepdim=True)
    x = pairs.inside.double() - share
    y = difference / 2 + gap * (0.5 - share)
    weight = pairs.weight[:, None]
    inverse = torch.linalg.pinv(x.T @ (weight * x), rtol=1e-9, hermitian=True)
    line = inverse @ (x.T @ (weight * y))  # (u, k)
    leverage = (weight * (x @ inverse) * x).sum(dim=1, keepdim=True)
    alone = 1 - leverage < 1e-6  # the line goes through this pair whatever its score: without it, it is not foretold
    missed = torch.where(alone, y, (y - x @ line) / (1 - leverage).clamp(min=1e-6))
    unknown = 1 - float(leverage.sum().round()) / (u - 1) if u > 1 else 0.0  # directions that no pair tells of
    size = (weight * y.square()).sum(dim=0) / (max(1, u - 1) / 2)  # of the line's weights, squared (k)
    count = applicable.sum(dim=1).clamp(min=1)
    wider = widening(len(y)) if unknown else 1.0
    guessed = unknown * wider**2 * (size * (1 - 1 / count))[:, None] * applicable
    drawn = pairs.open > 0
    pull = (pairs.weight * pairs.open.sqrt())[drawn, None] * (x @ inverse)[drawn]  # (m, u)
    moves = rebalanced(pull[:, None, :] * missed[drawn][:, :, None], torch.zeros_like(gap), applicable)
    scores = rebalanced((line + gap / u).T[None], gap, applicable)[0]
    return scores, (guessed + scatter(moves)).sqrt()


def rebalanced(
    values: Float[Tensor, "n k u"], total: Float[Tensor, " k"], applicable: Bool[Tensor, "k u"]
) -> Float[Tensor, "n k u"]:
    """The nearest values that add up to the total and are zero where not applicable."""
    kept = values * applicable
    missing = (total - kept.sum(dim=2)) / applicable.sum(dim=1).clamp(min=1)  # (n, k)
    return kept + missing[:, :, None] * applicable


def scatter(moves: Float[Tensor, "m k u"]) -> Float[Tensor, "k u"]:
    """The variance of the sum of draws taken at even distances, from their successive differences; that of few draws is
    as much larger as their standard error is wider by Student's t.
    """
    m = len(moves)
    if m < 2:
        return moves.square().sum(dim=0)
    return moves.diff(dim=0).square().sum(dim=0) * m / (2 * (m - 1)) * widening(m - 1) ** 2
