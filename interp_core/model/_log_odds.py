"""The log-odds of a target of one or several tokens, which do not saturate as its probability approaches 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Shares = tuple[Tensor, Tensor]  # the logarithm of a probability (p), and that of 1 less it


def shares(logits: Float[Tensor, "p v"], index: int) -> Shares:
    """The logarithms of the probability of one of v classes, and of 1 less it; neither is lost to rounding."""
    own = torch.arange(logits.shape[-1], device=logits.device) == index
    rest = logits.masked_fill(own, -torch.inf).logsumexp(-1)
    whole = torch.logaddexp(logits[:, index], rest)
    return logits[:, index] - whole, rest - whole


def log_odds(parts: Sequence[Shares]) -> Float[Tensor, " p"]:
    """The log-odds of the product P of several probabilities.

    1 - P is a sum of positive terms, (1 - p_i) times the p_j before it, so that nothing cancels as P nears 1 or 0.
    """
    before = torch.zeros_like(parts[0][0])
    terms = []
    for log, rest in parts:
        terms.append(rest + before)
        before = before + log
    return before - torch.stack(terms).logsumexp(0)
