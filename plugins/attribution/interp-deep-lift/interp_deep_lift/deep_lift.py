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
    """DeepLIFT (rescale rule): what each unit contributes to the difference of the score from that of the baseline.

    The difference is propagated back through the layers. At an activation function the multiplier is the difference of
    its output from the output at the baseline, divided by the same difference of its input, so that a saturated
    activation still passes on what saturated it.

    Positive scores speak for the target, negative ones against it, in the unit of the score. They add up to
    score(input) - score(baseline). This holds where the computation from the features to the score consists of linear
    maps and of activation functions that are modules and act coordinate by coordinate; which modules do is found by
    trying them. Attention, norms and products of two activations have no rule: questions that lead through them are
    refused. In a transformer it applies to what the concepts of the last layer contribute to a logit.

    The cost is two forward rows, and one backward pass for each target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="deep-lift", targets="class 0")
        >>> found.scores
        tensor([[ 3.,  0., -2.]])

    Source:
        Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685, section 3.5.1 (rescale rule) with the chain rule for
        multipliers (equation 3). Departs from the paper in that outputs of a softmax are refused, not normalised.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target, in two forward rows and one backward pass for each target.

        Returns:
            Signed scores that add up to score(input) - score(baseline).

        Raises:
            UnsupportedError: the scores do not add up, so that some module between features and score has no rule.
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
