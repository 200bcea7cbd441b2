"""Faithfulness correlation: do summed attributions go along with what removing their units takes away?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Bool
from torch import Tensor

from interp_monotonicity.ranks import pearson, rounding

CONSTANT = "The summed attributions, or the falls of the score, do not vary for some target, so nothing correlates: 0."


@dataclass(frozen=True)
class FaithfulnessCorrelation:
    """Faithfulness correlation: the correlation of summed attributions of removed units with the fall of the score.

    Pearson's correlation is taken over random sets of units of one size.

    The value is from -1 to 1, and 1 for the contributions to an additive score. Higher is better. It is 0 with a note
    where the sums or the falls do not vary, as for a constant score or a text of one unit. It is measured in the score
    space of the attributions, since a score that is additive there is not in another. The cost is at most `samples`
    rows of the model for each set of applicable units.

    Args:
        samples: number of sets that are drawn, at least 2. Where there are no more than that, each is evaluated once
            and the result is exact. All targets with the same units and all attributions see the same sets.
        share: size of the sets as a share of the units that are applicable to a target, above 0 and below 1; rounded,
            at least one unit and at most all but one.
        seed: random seed of the sets.

    Raises:
        InputError: `samples` is below 2, or `share` is not above 0 and below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="faithfulness-correlation", chance=False).value, 3)
        1.0

    Source:
        Bhatt, Weller, Moura 2020, arXiv:2005.00631, definition of faithfulness, on units of text; absent units are
        those of the question.
    """

    samples: int = 200
    share: float = 0.3
    seed: int = 0
    higher_is_better: ClassVar[bool] = True
    space: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        if self.samples < 2 or not 0 < self.share < 1:
            raise InputError(f"{self}: at least 2 samples and a share above 0 and below 1 are needed.")

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        return (
            "Pearson correlation of the summed attributions of removed units with the fall of the score, "
            f"over sets of {self.share:.0%} of the units"
        )

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one correlation for each target.

        Returns:
            The mean over targets, with `values` for each.
        """
        patterns = len(question.applicable.unique(dim=0))
        draws = question.afford(self.samples, patterns)
        removals = [self._removals(applicable, draws) for applicable in question.applicable]
        found = question.masked(~torch.cat(removals)).split([len(gone) for gone in removals])
        intact = question.intact().double()
        values = []
        for k, (gone, scores) in enumerate(zip(removals, found, strict=True)):
            told, fall = gone.double() @ attribution.scores[k].double(), intact[k] - scores[:, k].double()
            values.append(pearson(told, fall, (rounding(told), rounding(intact[k], fall))))
        stacked = torch.stack(values).float()
        notes = (CONSTANT,) if bool(stacked.isnan().any()) else ()
        stacked = stacked.nan_to_num(0.0)
        return Score(float(stacked.mean()), self.higher_is_better, stacked, definition=self.definition, notes=notes)

    def _removals(self, applicable: Bool[Tensor, " u"], draws: int) -> Bool[Tensor, "p u"]:
        able = applicable.nonzero().flatten()
        size = max(1, min(round(self.share * len(able)), len(able) - 1))
        if math.comb(len(able), size) <= draws:
            rows = torch.tensor(list(combinations(able.tolist(), size)), dtype=torch.long).reshape(-1, size)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            rows = able[torch.rand(draws, len(able), generator=generator).argsort(dim=1)[:, :size]]
        return torch.zeros(len(rows), len(applicable), dtype=torch.bool).scatter_(1, rows, value=True)
