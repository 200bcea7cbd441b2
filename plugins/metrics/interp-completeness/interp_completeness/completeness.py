"""Completeness: whether the scores of the units add up to what there is to explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.metrics import Score

TINY = 1e-6  # of the score: what differs by rounding alone
NOTHING = "Removing everything changes nothing, so the miss is given in parts of the sum of sizes of the attributions."


@dataclass(frozen=True)
class Completeness:
    """How far the sum of the attributions misses f(x) - f(removed), in parts of that difference.

    |Σφ - (f(x) - f(removed))| / |f(x) - f(removed)|: 0 where the attributions are complete, 1 where all are zero. Of a
    text in which removing all units that can matter changes nothing, it is |Σφ| / Σ|φ|, or 0 without attributions.
    Measured in the score space and with the removal that the attributions were made with: in another one nothing says
    that they should add up.

    Source: Sundararajan, Taly, Yan 2017, arXiv:1703.01365, proposition 1, as a relative error.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "|sum of attributions - (f(x) - f(removed))| / |f(x) - f(removed)|"
    space: ClassVar[str] = "own"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """One relative miss a target."""
        intact = question.intact().double()
        gap = intact - question.masked(~question.applicable).diagonal().double()
        scores = attribution.scores.double().where(question.applicable, torch.zeros(()).double())
        nothing = gap.abs() <= TINY * intact.abs()
        gap = gap.masked_fill(nothing, 0.0)
        whole = torch.where(nothing, scores.abs().sum(1), gap.abs())
        misses = (scores.sum(1) - gap).abs() / whole.clamp(min=1e-300)
        notes = (NOTHING,) if bool(nothing.any()) else ()
        return Score(
            float(misses.mean()), self.higher_is_better, misses.float(), definition=self.definition, notes=notes
        )
