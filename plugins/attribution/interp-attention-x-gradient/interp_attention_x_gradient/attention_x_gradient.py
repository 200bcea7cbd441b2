"""Attention times gradient: the attention that a unit receives, where more of it would raise the score."""

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
    """The attention that each token receives, each weight times how steeply the score rises with it.

    Weights with which the score would fall count as zero, so that scores are never negative: a word that speaks for
    another class is found by asking about that class. They are in the unit of the score.

    Args:
        rollout: follow the attention from layer to layer to the place where the score is read, in place of the mean
            over layers, heads and the tokens that attend.

    Source: Barkan et al. 2021, arXiv:2204.11073 (Grad-SAM): the mean of A ⊙ max(0, ∂s/∂A), given to the token that is
        attended to. With rollout Chefer, Gur, Wolf 2021, arXiv:2103.15679, equations 5 and 6: R ← R + Ā R, where Ā is
        the mean over heads of max(0, A ⊙ ∂s/∂A); from the row where the score is read the identity, with which R
        begins, is taken off, else that token were always first.
    """

    rollout: bool = False

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One forward, and one backward a target."""
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
