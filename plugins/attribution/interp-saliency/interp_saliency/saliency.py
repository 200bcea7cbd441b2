"""Saliency: how steep the score is at each unit."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Saliency:
    """The sizes of the gradient's coordinates, added up over the width of each feature.

    Never negative: a unit for the target and one against it look alike. A unit of several tokens has the sum of theirs.

    Source: Simonyan, Vedaldi, Zisserman 2014, arXiv:1312.6034, section 3. Departs from it in that sizes are added up,
        where the paper takes the largest of three colours.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One row of the model, and one backward for each target."""
        (slope,) = question.gradients(question.x[None])  # (k, f, d)
        return question.pool(slope.abs().sum(dim=-1))
