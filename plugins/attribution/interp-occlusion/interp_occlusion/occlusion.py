"""Occlusion: how much the score falls when one unit is removed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor

from interp_occlusion.redundancy import note_redundancy


@dataclass(frozen=True)
class Occlusion:
    """score(intact) - score(without the unit), for each unit.

    Units that stand in for each other all look unimportant. Of sentences and other units of several words, notes say so
    where some are equal but for case, spaces and punctuation, which are removed together once, and where none changes
    the score much but all together do.

    Source: Li, Monroe, Jurafsky 2016, arXiv:1612.08220, equation 3, on scores instead of relative log-likelihoods.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One variant a unit."""
        alone = torch.eye(len(question.units), dtype=torch.bool)
        keep = torch.cat([torch.ones_like(alone[:1]), ~alone])
        scores = question.masked(keep)  # (1 + u, k)
        changes = (scores[:1] - scores[1:]).T
        note_redundancy(question, changes, alone)
        return changes
