"""Attention rollout: how much of each token attention carries to where the score is read."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class AttentionRollout:
    """The share that each token has in the place where the score is read, if attention were all that mixes tokens.

    In each layer a token is taken to keep half of itself and to take the other half from what it attends to, its heads
    averaged. Shares are at least zero and add up to 1 over all tokens, those in no unit included. Neither the values
    nor the head are looked at: all classes of a classifier get the same scores, and a word that is read but speaks
    against the class looks important. Tokens that are generated differ, since each is read at another place.

    Source: Abnar, Zuidema 2020, arXiv:2005.00928, section 3: A = 0.5 W + 0.5 I, equation 1. Of the product over the
        layers only the rows where the score is read are computed; a score read at several places has their mean.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One pass over the text, whatever the number of targets."""
        internals = question.internals
        assert internals is not None
        layers: list[Tensor] = []  # (t, s) each
        internals.run(attention=lambda _number, weights, _values: layers.append(weights[0].float().mean(0).cpu()))
        share = internals.read_at  # (k, t)
        for attention in reversed(layers):
            share = 0.5 * share @ attention + 0.5 * share
        return question.pool(share)
