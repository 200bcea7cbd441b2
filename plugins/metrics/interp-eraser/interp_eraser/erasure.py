"""Comprehensiveness and sufficiency: the fall of the score without the best units, and with them alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class _Erasure:
    """The bins that comprehensiveness and sufficiency share."""

    bins: Sequence[float] = (1, 5, 10, 20, 50)
    empty_bin: bool = True

    def __post_init__(self) -> None:
        if not self.bins or not all(0 < share <= 100 for share in self.bins):
            raise InputError(f"bins is {tuple(self.bins)}; one or more percentages above 0 and up to 100 are needed.")
        object.__setattr__(self, "bins", tuple(self.bins))

    def _told(self, which: str) -> str:
        shares = ", ".join(f"{share:g}" for share in self.bins)
        count = len(self.bins) + self.empty_bin
        empty = ", the bin of no units among them" if self.empty_bin else ""
        return (
            f"fall of the score {which} the {shares} % of the units with the highest signed attributions "
            f"(numbers of units rounded up), mean over {count} bins{empty}"
        )

    def _falls(self, attribution: Attribution, question: Question, alone: bool) -> Float[Tensor, " k"]:
        keeps = []
        for scores, applicable in zip(attribution.scores, question.applicable, strict=True):
            chosen = best(scores, applicable, self._sizes(int(applicable.sum())))
            keeps.append(chosen | ~applicable if alone else ~chosen)
        found = question.masked(torch.cat(keeps)).split([len(keep) for keep in keeps])
        left = torch.stack([scores[:, k].mean() for k, scores in enumerate(found)])
        return question.intact() - left

    def _sizes(self, units: int) -> list[int]:
        """The number of units in each bin; a share of 10 % is 3 of 30 units, not 4 by an error of rounding."""
        return [0] * self.empty_bin + [math.ceil(share * units / 100 - 1e-9) for share in self.bins]


@dataclass(frozen=True)
class Comprehensiveness(_Erasure):
    """How far the score (probability by default) falls without the units of highest attribution, over bins.

    1/(|B| + 1) Σ m(x) - m(x without r_b), where r_b are the best b % of the units that can matter to the target. Scores
    are signed, highest first, equal ones in the order of the text; units that come after what is explained stay.

    Args:
        bins: B, in percent of the units; the number of units is rounded up, so that no bin is empty in a short text.
        empty_bin: count the bin of no units, whose fall is 0, as the paper does; False for the plain mean over `bins`,
            as in the code of the paper.

    Source: DeYoung et al. 2020, arXiv:1911.03429, section 4.2, equations of comprehensiveness and AOPC, on units of any
        granularity; absent units are those of the question, where the paper takes tokens out.
    """

    higher_is_better: ClassVar[bool] = True

    @property
    def definition(self) -> str:
        """The number in words, with its bins."""
        return self._told("without")

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """One fall a target, from -1 to 1 for probabilities."""
        falls = self._falls(attribution, question, alone=False)
        return Score(float(falls.mean()), self.higher_is_better, falls, definition=self.definition)


@dataclass(frozen=True)
class Sufficiency(_Erasure):
    """How far the score (probability by default) falls when only the units of highest attribution are left, over bins.

    1/(|B| + 1) Σ m(x) - m(r_b); low where the best units alone bring the score. See `Comprehensiveness`.

    Args:
        bins: B, in percent of the units; the number of units is rounded up.
        empty_bin: count the bin of no units, m(x) - m(nothing), the same for all attributions; False for the plain mean
            over `bins`.

    Source: DeYoung et al. 2020, arXiv:1911.03429, section 4.2; see `Comprehensiveness`.
    """

    higher_is_better: ClassVar[bool] = False

    @property
    def definition(self) -> str:
        """The number in words, with its bins."""
        return self._told("with nothing but")

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """One fall a target, from -1 to 1 for probabilities."""
        falls = self._falls(attribution, question, alone=True)
        return Score(float(falls.mean()), self.higher_is_better, falls, definition=self.definition)


def best(scores: Float[Tensor, " u"], applicable: Bool[Tensor, " u"], sizes: Sequence[int]) -> Bool[Tensor, "p u"]:
    """Which units are the so many best ones, a row for each size; never one that cannot matter to the target."""
    order = applicable.nonzero().flatten()
    order = order[scores[order].argsort(descending=True, stable=True)]
    chosen = torch.zeros(len(sizes), len(scores), dtype=torch.bool)
    chosen[:, order] = torch.arange(len(order)) < torch.tensor(sizes)[:, None]
    return chosen
