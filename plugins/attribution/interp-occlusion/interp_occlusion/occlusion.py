"""Occlusion: how much the score falls when one unit is removed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Occlusion:
    """score(intact) - score(without the unit), for each unit.

    Source: Li, Monroe, Jurafsky 2016, arXiv:1612.08220, equation 3, on scores instead of relative log-likelihoods.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One variant a unit."""
        u = len(question.units)
        keep = torch.cat([torch.ones(1, u, dtype=torch.bool), ~torch.eye(u, dtype=torch.bool)])
        scores = question.masked(keep)  # (1 + u, k)
        return (scores[:1] - scores[1:]).T
