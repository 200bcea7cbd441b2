"""Value zeroing: how much tokens change when the values of another are zero."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.model import Internals
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot


@dataclass(frozen=True)
class ValueZeroing:
    """Value zeroing: how far the state that the score is read from moves when the value vectors of a token are zero.

    In each layer, and for each token, the value vectors of that token are set to zero in all heads, with all else left
    as it is. The cosine distance between the output of a token before and after says how much it took from there.
    Unlike attention weights, these distances reflect the value vectors and the rest of the block: residual connections,
    norms and the MLP. They are normalised to shares for each token of each layer.

    Scores are shares without a unit and at least 0. They add up to 1 over all tokens, those that belong to no unit
    included. The head does not enter: all classes of a classifier get the same scores. The tokens of a continuation
    have different scores, since each is read at its own position.

    The cost is one row of the model for each token and one for the intact text, whatever the number of layers and
    targets: behind each block its intact output replaces the changed one, so that all layers are measured in one pass.
    The model needs one stack whose attention is computed by transformers.

    Args:
        rollout: multiply the shares over the layers, down to the position at which the score is read, in place of the
            mean over layers of the shares at that position. It follows what tokens have taken in at lower layers, but
            blurs the result: where this was measured, insertion and deletion were better without it.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_classifier
        >>> (found,) = interp.attribute(tiny_classifier(), "so happy today", by="value-zeroing")
        >>> found.scores.shape, bool((found.scores >= 0).all())
        (torch.Size([1, 3]), True)

    Source:
        Mohebbi, Zuidema, Chrupała, Alishahi 2023, arXiv:2301.12971, section 3: the shares of each layer, and their
        rollout, without an identity, since the token's own value is among those that are zeroed. The mean over layers
        is not in the paper. Departs from it also in that the output is always that of the block itself: in models with
        a norm after the last block, the state before that norm.
    """

    rollout: bool = False

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target: one row for each token and one for the intact text.

        Returns:
            Shares of at least 0.
        """
        internals = question.internals
        assert internals is not None
        layers, share = mixings(internals), internals.read_at  # (k, t)
        if not self.rollout:
            return question.pool(share @ torch.stack(layers).mean(0))
        for mixing in reversed(layers):
            share = share @ mixing
        return question.pool(share)


def mixings(internals: Internals) -> list[Float[Tensor, "t s"]]:
    """For each layer the share that each token s has in the output of each token t; rows add up to 1."""
    length = internals.read_at.shape[1]
    intact: list[Tensor] = []  # (1, t, d) each; attention is watched as well, so that both passes compute alike
    internals.run(attention=lambda *_: None, block=lambda _number, output: intact.append(output))
    changes = [torch.zeros(length, length, dtype=torch.float32) for _ in intact]
    for tokens in torch.arange(length).split(internals.rows_a_pass):
        zeroed = one_hot(tokens, length).bool()  # (p, s)
        for change, found in zip(changes, _changes(internals, zeroed, intact), strict=True):
            change[:, tokens] = found
    return [_shares(change) for change in changes]


def _changes(internals: Internals, zeroed: Bool[Tensor, "p s"], intact: list[Tensor]) -> list[Float[Tensor, "t p"]]:
    """For each layer how much the output of each token moves when the values of one token are zero."""
    found: list[Tensor] = []

    def without(_number: int, weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return weights, values.masked_fill(zeroed[:, None, :, None].to(values.device), 0)

    def compare(number: int, output: Tensor) -> Tensor:
        found.append(cosine_distance(output, intact[number]).T.cpu())
        return intact[number].expand_as(output)

    internals.run(len(zeroed), attention=without, block=compare)
    return found


def cosine_distance(one: Float[Tensor, "*b d"], other: Float[Tensor, "*c d"]) -> Float[Tensor, "*b"]:
    """1 - cos; by way of the difference, since 1 - cos itself is all rounding where the two are nearly equal."""
    apart = normalize(one.float(), dim=-1) - normalize(other.float(), dim=-1)
    return apart.square().sum(-1) / 2


def _shares(change: Float[Tensor, "t s"]) -> Float[Tensor, "t s"]:
    """Rows that add up to 1; a token that nothing moves is its own."""
    total = change.sum(1, keepdim=True)
    return torch.where(total > 0, change / total, torch.eye(len(change), dtype=change.dtype))
