"""Input times gradient."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class InputXGradient:
    """(input - baseline) times the gradient at the input, summed over the width of each feature.

    With a zero baseline, as for concepts, this is the plain product of the paper. It is exact for a linear score.

    Source: Shrikumar et al. 2016, arXiv:1605.01713, section 2.3; measured from the baseline so that it is the
        first-order term
    of what removing the unit does.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One backward a target."""
        (slope,) = question.gradients(question.x[None])  # (k, f, d)
        return question.pool(((question.x - question.baseline) * slope).sum(dim=-1))
