"""Shapley values from a Gaussian process over subsets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from interp_core.attribution import Question
from interp_core.statistics import check_sampling, portions
from interp_kernel_shap.kernel_shap import KernelShap, differences, rebalanced
from interp_kernel_shap.pairs import count_all
from jaxtyping import Float
from torch import Tensor

from interp_shapley_gp.process import Process, chosen


@dataclass(frozen=True)
class ShapleyGP:
    """Shapley values from a Gaussian process over subsets of the units, which are chosen before the model is run.

    Half of the difference between the score of a subset and that of its complement is modelled as a Gaussian process,
    in which interactions of three units have a much smaller prior variance than single units, those of five a smaller
    one again. Its posterior gives the Shapley values (what a unit adds to the units before it, averaged over all
    orders) and their uncertainty. Subsets are chosen one after the other, each so as to reduce that uncertainty most.
    The choice does not depend on the scores, so that it is made in advance and is the same for all texts with as many
    units.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it. They always
    add up to score(intact) - score(emptied). The standard error is the posterior standard deviation, scaled to fit the
    scores that were seen. Unlike that of Kernel SHAP it is only as good as the prior: where three words do as much
    together as one alone, it is too small. The cost is at most `samples` rows of the model.

    Args:
        samples: maximum number of variants, at least 4, the intact and the empty text included. When all 2^u subsets
            fit, the result is exact, its error is 0 and the seed has no effect. With fewer than 2 u variants the errors
            are large.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed: of the choice among equally informative subsets, with more than 12 units of the 2,048 subsets
            they are chosen from, and of all pairs after the first 1,024.

    Raises:
        InputError: `samples` is below 4, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="shapley-gp", targets="class 0")
        >>> found.top(count=1), found.exact
        ([('happy', 3.0)], True)

    Source:
        Integrals of a Gaussian process from subsets chosen in turn: Huszar, Duvenaud 2012, arXiv:1204.1664 (Bayesian
        quadrature). Gaussian processes: Rasmussen, Williams 2006, chapter 2. Pairs: Covert, Lee 2021, arXiv:2012.01536.
        The kernel (variances of 10,000, 1, 0.05 … for interactions of 1, 3, 5 … units) was chosen for this package, on
        sentences of 8 to 10 words.
    """

    samples: int = 128
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
        if most == count_all(u):
            return KernelShap(samples=self.samples, tolerance=self.tolerance, seed=self.seed).attribute(question)
        gap = (question.intact() - question.emptied()).double()
        process, every, halves = Process.of(u), chosen(u, most, self.seed), gap[None] / 2
        applicable = question.applicable[:, able]
        answer = torch.zeros(2, *question.applicable.shape, dtype=torch.float64)
        for count in accumulate(portions(most, self.tolerance)):
            new = every[len(halves) : count + 1]
            halves = torch.cat([halves, differences(question, able, new) / 2])
            values, errors = process.fitted(every[: count + 1], halves)
            answer[0, :, able] = rebalanced(values[None], gap, applicable)[0]
            answer[1, :, able] = errors * applicable
            if self.tolerance is not None and bool((answer[1] <= self.tolerance).all()):
                break
        return answer[0], answer[1]
