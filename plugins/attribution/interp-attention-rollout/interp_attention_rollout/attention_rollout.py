"""Attention rollout: share of each token in the position read, if only attention mixed tokens."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class AttentionRollout:
    """Attention rollout: the share of each token in the position read for the score, if only attention mixed tokens.

    In each layer a token keeps half of itself and takes the other half from the tokens it attends to, with the
    attention weights averaged over heads. Rollout multiplies these mixtures over all layers.

    Scores are shares without a unit and at least 0. They add up to 1 over all tokens, those that belong to no unit
    included. Neither the value vectors nor the head enter: all classes of a classifier get the same scores, and a word
    that is attended to but speaks against the class looks important. The tokens of a continuation have different
    scores, since each is read at its own position.

    The cost is one pass over the text, whatever the number of targets. The model needs one stack whose attention is
    computed by transformers; layers and components are refused.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="attention-rollout", targets="all")
        >>> found.scores.shape, bool((found.scores[0] == found.scores[1]).all())
        (torch.Size([3, 3]), True)

    Source:
        Abnar, Zuidema 2020, arXiv:2005.00928, section 3, equation 1, with A = 0.5 W + 0.5 I. Of the product over layers
        only the rows at which the score is read are computed; a score that is read at several positions has their mean.
    """

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target, in one pass.

        Returns:
            Shares of at least 0.
        """
        internals = question.internals
        assert internals is not None
        layers: list[Tensor] = []  # (t, s) each
        internals.run(attention=lambda _number, weights, _values: layers.append(weights[0].float().mean(0).cpu()))
        share = internals.read_at  # (k, t)
        for attention in reversed(layers):
            share = 0.5 * share @ attention + 0.5 * share
        return question.pool(share)
