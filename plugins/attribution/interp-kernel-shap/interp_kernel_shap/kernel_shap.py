"""Kernel SHAP: Shapley values from a weighted linear regression on pairs of subsets."""

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
    """Kernel SHAP: Shapley values estimated by a weighted linear regression on subsets of the units.

    The Shapley value of a unit is what it adds to the units before it, averaged over all orders of the units. The
    Shapley values are also the weights of the linear function of the kept units that fits the score best, with each
    subset weighted by the Shapley kernel. Each subset is evaluated together with its complement. Sizes close to 0 and
    to u are enumerated where a sample would hold as many; the other sizes are sampled, each subset at most once.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it. They always
    add up to score(intact) - score(emptied). The standard error is that of the regression, with each pair judged by a
    fit without it. With fewer pairs than units the regression is underdetermined: the pairs are then random halves,
    units that no pair tells apart share equally, and the error is as large as a typical score. The cost is at most
    `samples` rows of the model.

    Args:
        samples: maximum number of variants, at least 4, the intact and the empty text included. When all 2^u subsets
            fit, the result is exact, its error is 0 and the seed has no effect. With fewer than about 3 u variants the
            errors are large.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of the subsets. With more samples, the same seed draws mostly the same subsets and some more.

    Raises:
        InputError: `samples` is below 4, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="kernel-shap", targets="class 0")
        >>> found.top(count=1), found.exact
        ([('happy', 3.0)], True)

    Source:
        Lundberg, Lee 2017, arXiv:1705.07874, theorem 2; pairs from Covert, Lee 2021, arXiv:2012.01536. Departs from
        both in that subsets of a size are drawn without replacement and sizes at even distances, so that errors are
        those of a systematic sample (successive differences; Wolter 2007, Introduction to Variance Estimation, chapter
        8), with the residuals of leave-one-out fits.
    """

    samples: int = 256
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target. A unit that is applicable to no target takes no part.

        Returns:
            Signed scores, and their standard errors.
        """
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
