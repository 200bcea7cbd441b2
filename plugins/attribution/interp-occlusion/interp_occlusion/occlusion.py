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
    """Occlusion (leave-one-out): score(intact) - score(without the unit), for each unit.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it; they add up
    to score(intact) - score(emptied) only where the score is additive. Units that stand in for each other all look
    unimportant. For sentences and other units of several words, a note says where units that are equal but for case,
    spaces and punctuation matter together, and where no unit changes the score much but all of them together do. The
    cost is one row of the model for each unit, and a few more for these notes.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="occlusion", targets="class 0")
        >>> found.scores
        tensor([[ 3.,  0., -2.]])

    Source:
        Li, Monroe, Jurafsky 2016, arXiv:1612.08220, equation 3, on scores in place of relative log-likelihoods.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target: one variant for each unit.

        Returns:
            Signed scores.
        """
        alone = torch.eye(len(question.units), dtype=torch.bool)
        keep = torch.cat([torch.ones_like(alone[:1]), ~alone])
        scores = question.masked(keep)  # (1 + u, k)
        changes = (scores[:1] - scores[1:]).T
        note_redundancy(question, changes, alone)
        return changes
