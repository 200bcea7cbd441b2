"""Input times gradient."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class InputXGradient:
    """Input times gradient: (input - baseline) times the gradient at the input, summed over the width of each feature.

    It is the first-order estimate of what removing the unit changes, and exact for a linear score. With a baseline of
    zero, as for concepts, it is the plain product of the paper.

    Positive scores speak for the target, negative ones against it, in the unit of the score. They add up to
    score(input) - score(baseline) only where the score is linear. The cost is one forward row, and one backward pass
    for each target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="input-x-gradient", targets="class 0")
        >>> found.scores
        tensor([[ 3.,  0., -2.]])

    Source:
        Shrikumar et al. 2016, arXiv:1605.01713, section 2.3. Departs from it in that the input is measured from the
        baseline.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target, in one backward pass for each target.

        Returns:
            Signed scores.
        """
        (slope,) = question.gradients(question.x[None])  # (k, f, d)
        return question.pool(((question.x - question.baseline) * slope).sum(dim=-1))
