"""Saliency: how steep the score is at each unit."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Saliency:
    """Saliency: the absolute gradient of the score at the input, summed over the width of each feature.

    Scores are at least 0, in the unit of the score for an embedding that moves by 1 in each coordinate, and do not add
    up: a unit that speaks for the target and one that speaks against it look alike. A unit of several tokens has the
    sum of their scores. The cost is one row of the model, and one backward pass for each target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="saliency")
        >>> found.words, bool((found.scores > 0).all())
        (['so', 'happy', 'today'], True)

    Source:
        Simonyan, Vedaldi, Zisserman 2014, arXiv:1312.6034, section 3. Departs from it in that absolute values are
        summed over the width, where the paper takes the largest of three colour channels.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target, in one row of the model and one backward pass for each target.

        Returns:
            Scores of at least 0.
        """
        (slope,) = question.gradients(question.x[None])  # (k, f, d)
        return question.pool(slope.abs().sum(dim=-1))
