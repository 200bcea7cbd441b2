"""Attention times gradient: the attention that a unit receives, weighted by the gradient of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.model import Internals
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class AttentionXGradient:
    """Attention times gradient (Grad-SAM): the attention each token receives, weighted by the score's gradient.

    Each attention weight is multiplied by the derivative of the score with respect to it. Weights with a negative
    derivative count as zero. Without `rollout`, a token's score is the mean of these products over layers, heads and
    the tokens that attend to it.

    Scores are at least 0, in the unit of the score, and do not add up to anything. A word that speaks for another class
    is found by asking about that class. The cost is one forward pass, and one backward pass for each target.

    Args:
        rollout: multiply the weighted attention over the layers, down from the position at which the score is read, in
            place of the mean over layers, heads and tokens.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="attention-x-gradient", targets="all")
        >>> found.scores.shape, bool((found.scores >= 0).all())
        (torch.Size([3, 3]), True)

    Source:
        Barkan et al. 2021, arXiv:2204.11073 (Grad-SAM): the mean of A ⊙ max(0, ∂s/∂A), given to the token that is
        attended to. With `rollout`, Chefer, Gur, Wolf 2021, arXiv:2103.15679, equations 5 and 6: R ← R + Ā R, where Ā
        is the mean over heads of max(0, A ⊙ ∂s/∂A). The identity that R starts from is subtracted from the row at which
        the score is read; otherwise the token at that position would always come first.
    """

    rollout: bool = False

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target, in one forward pass and one backward pass for each target.

        Returns:
            Scores of at least 0.
        """
        internals = question.internals
        assert internals is not None
        combine = rolled_out if self.rollout else received
        with internals.alone():  # the graphs of several texts at once might not fit into memory
            attention, slopes = attention_and_slopes(internals)
            found = [combine(attention, slope, at) for slope, at in zip(slopes, internals.read_at, strict=True)]
        return question.pool(torch.stack(found))


def attention_and_slopes(internals: Internals) -> tuple[list[Float[Tensor, "h t s"]], list[list[Tensor]]]:
    """The weights of each layer, and for each target the slopes of its score with respect to them."""
    seen: list[Tensor] = []

    def see(_number: int, weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(weights if weights.requires_grad else weights.requires_grad_())
        return seen[-1], values

    slopes = []
    with torch.inference_mode(False), torch.enable_grad():
        for score in internals.run(attention=see)[0]:
            found = torch.autograd.grad(score, seen, retain_graph=True)
            internals.batch_runner.cost.backwards += 1
            slopes.append([slope[0].float().cpu() for slope in found])
    return [weights[0].detach().float().cpu() for weights in seen], slopes


def received(
    attention: Sequence[Float[Tensor, "h t s"]], slopes: Sequence[Tensor], _at: Float[Tensor, " t"]
) -> Float[Tensor, " s"]:
    """What each token receives from a token and head on average, over all layers."""
    rising = [weights * slope.clamp(min=0) for weights, slope in zip(attention, slopes, strict=True)]
    return torch.stack([each.mean((0, 1)) for each in rising]).mean(0)


def rolled_out(
    attention: Sequence[Float[Tensor, "h t s"]], slopes: Sequence[Tensor], at: Float[Tensor, " t"]
) -> Float[Tensor, " s"]:
    """What reaches the place where the score is read."""
    share = at
    for weights, slope in zip(reversed(attention), reversed(slopes), strict=True):
        share = share + share @ (weights * slope).clamp(min=0).mean(0)
    return share - at
