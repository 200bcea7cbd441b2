"""DeepLIFT: differences from the baseline handed down through activations."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from interp_core.errors import UnsupportedError
from jaxtyping import Float
from torch import Tensor

from interp_deep_lift.rescale import activations_of, rescaled

MISSED = 0.01  # of the difference explained; where more is missing the rules do not hold
ROUNDING = 1e-5  # of all that is given


@dataclass(frozen=True)
class DeepLift:
    """What each unit contributes to the difference from the baseline, where activations are straight lines to it.

    An activation counts by how far its output is from that of the baseline for how far its input is, so that one which
    is saturated still lets through what brought it there. The scores add up to score(input) - score(baseline) exactly
    where the way from the features to the score is made of linear maps and of activations that are modules and work
    coordinate by coordinate: which ones do is tried, not looked up. Attention, norms and products of two activations
    have no rule; a question that leads through them is refused. Of a transformer it can be asked what concepts of its
    last layer contribute to a logit.

    Source: Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685, section 3.5.1 (rescale rule) with the chain rule for
        multipliers (equation 3). Departs from it in that outputs of a softmax are refused, not normalised.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Signed scores; two forward rows, and one backward a target.

        Raises:
            UnsupportedError: the scores do not add up, so a rule is missing.
        """
        internals = question.internals
        assert internals is not None
        with internals.alone():  # hooks must not come and go while another text passes
            multipliers, gap = rescaled(question, activations_of(internals.module, question.x))
        internals.batch_runner.cost.backwards += len(gap)
        given = (multipliers * (question.x - question.baseline)).sum(-1)  # (k, f)
        check_sum(question, given, gap)
        return question.pool(given)


def check_sum(question: Question, given: Float[Tensor, "k f"], gap: Float[Tensor, " k"]) -> None:
    """Refuse scores that do not add up to the difference.

    Raises:
        UnsupportedError: for some target they miss it by more than one per cent and rounding.
    """
    total = given.sum(1)
    over = (total - gap).abs() - MISSED * gap.abs() - ROUNDING * given.abs().sum(1)
    worst = int(over.argmax())
    if float(over[worst]) > 0:
        raise UnsupportedError(
            f"deep-lift gives {float(total[worst]):.4g} in all where the score of "
            f"{question.targets[worst].label!r} moves by {float(gap[worst]):.4g}: something between the features and "
            "the score has no rule (attention, a norm, a product, a softmax). Use integrated-gradients, or ask about "
            "what is above it, such as concepts of the last layer, for a logit (score='logit')."
        )
