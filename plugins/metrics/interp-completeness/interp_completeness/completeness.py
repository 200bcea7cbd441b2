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
    """Completeness error: how far the attributions are from adding up to the difference they explain, relative to it.

    It is |Σφ - (f(x) - f(removed))| / |f(x) - f(removed)|, where f(removed) is the score with every unit removed that
    is applicable to the target. Where removing them changes nothing, it is |Σφ| / Σ|φ|, or 0 if all attributions are 0,
    with a note.

    The value is at least 0 and has no unit: 0 where attributions are complete, 1 where all are zero. Lower is better.
    It is measured in the score space and with the removal of the attributions, since they need not add up in any other.
    The cost is one row of the model for each target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="completeness", chance=False).value, 3)
        0.0

    Source:
        Sundararajan, Taly, Yan 2017, arXiv:1703.01365, proposition 1, as a relative error.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "|sum of attributions - (f(x) - f(removed))| / |f(x) - f(removed)|"
    space: ClassVar[str] = "own"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one relative error for each target.

        Returns:
            Their mean, with `values` for each target.
        """
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
