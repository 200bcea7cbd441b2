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
    """Comprehensiveness (ERASER): the fall of the score without the units of highest attribution, averaged over bins.

    It is 1/(|B| + 1) Σ m(x) - m(x without r_b), where m is the score (the probability by default) and r_b are the best
    b % of the units that are applicable to the target. Attributions are ranked with their signs, equal ones in the
    order of the text; units that are not applicable stay.

    For probabilities the value is from -1 to 1. Higher is better. The cost is one row of the model for each bin and
    target.

    Args:
        bins: B, percentages of the units above 0 and up to 100. The number of units is rounded up, so that no bin is
            empty in a short text.
        empty_bin: count the bin of no units, whose fall is 0, as the paper does; False for the mean over `bins` alone,
            as in the code of the paper.

    Raises:
        InputError: `bins` is empty, or holds a number that is not above 0 and up to 100.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="comprehensiveness", chance=False).value, 3)
        0.402

    Source:
        DeYoung et al. 2020, arXiv:1911.03429, section 4.2, equations of comprehensiveness and AOPC, on units of any
        granularity; absent units are those of the question, where the paper deletes tokens.
    """

    higher_is_better: ClassVar[bool] = True

    @property
    def definition(self) -> str:
        """The number in words, with its bins."""
        return self._told("without")

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one fall for each target.

        Returns:
            The mean over targets, with `values` for each; from -1 to 1 for probabilities.
        """
        falls = self._falls(attribution, question, alone=False)
        return Score(float(falls.mean()), self.higher_is_better, falls, definition=self.definition)


@dataclass(frozen=True)
class Sufficiency(_Erasure):
    """Sufficiency (ERASER): the fall of the score with only the units of highest attribution, averaged over bins.

    It is 1/(|B| + 1) Σ m(x) - m(r_b), with m and r_b as in `Comprehensiveness`; low where the best units alone give the
    score. For probabilities the value is from -1 to 1. Lower is better. The cost is one row of the model for each bin
    and target.

    Args:
        bins: B, percentages of the units above 0 and up to 100; the number of units is rounded up.
        empty_bin: count the bin of no units, m(x) - m(nothing), which is the same for all attributions; False for the
            mean over `bins` alone.

    Raises:
        InputError: `bins` is empty, or holds a number that is not above 0 and up to 100.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="sufficiency", chance=False).value, 3)
        -0.161

    Source:
        DeYoung et al. 2020, arXiv:1911.03429, section 4.2; with the departures of `Comprehensiveness`.
    """

    higher_is_better: ClassVar[bool] = False

    @property
    def definition(self) -> str:
        """The number in words, with its bins."""
        return self._told("with nothing but")

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one fall for each target.

        Returns:
            The mean over targets, with `values` for each; from -1 to 1 for probabilities.
        """
        falls = self._falls(attribution, question, alone=True)
        return Score(float(falls.mean()), self.higher_is_better, falls, definition=self.definition)


def best(scores: Float[Tensor, " u"], applicable: Bool[Tensor, " u"], sizes: Sequence[int]) -> Bool[Tensor, "p u"]:
    """Which units are the so many best ones, a row for each size; never one that cannot matter to the target."""
    order = applicable.nonzero().flatten()
    order = order[scores[order].argsort(descending=True, stable=True)]
    chosen = torch.zeros(len(sizes), len(scores), dtype=torch.bool)
    chosen[:, order] = torch.arange(len(order)) < torch.tensor(sizes)[:, None]
    return chosen
