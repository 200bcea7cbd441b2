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
    """The share that each token has in the place where the score is read, by how that place changes without it.

    In each layer, and for each token, the value vectors of that token are set to zero in all heads, and all else is
    left as it is; the cosine distance of a token's output to what it was says how much it took from there. Unlike
    attention weights these distances see what is read, and how it passes the rest of the block: residuals, norms and
    the layers after attention. As shares they are at least zero and add up to 1 over all tokens, those in no unit
    included. The head is not looked at: all classes of a classifier get the same scores; tokens that are generated
    differ, since each is read at another place.

    All layers are done in one pass, of as many rows as the text has tokens: behind each block its intact output goes
    on in place of the changed one.

    Args:
        rollout: multiply the shares over the layers, from the words up to the place where the score is read, in place
            of the mean over layers of the shares in that place. It tells a token from what it has taken in below,
            and blurs: where it was measured, insertion and deletion were better without it.

    Source: Mohebbi, Zuidema, Chrupała, Alishahi 2023, arXiv:2301.12971, section 3: the shares in each layer, and their
        rollout, without an identity, since a token's own value is among those that are zeroed. The mean over layers is
        ours. Departs from the paper in that the output is always that of the block itself: of models with a norm
        behind the last block, the one before it.
    """

    rollout: bool = False

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One row a token and one for the intact text, whatever the number of layers and targets."""
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
