"""Distributions over tokens or classes beside the model's own: what is likeliest, ranks, divergences, entropies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reading:
    """What the distributions at m tokens say, without the distributions.

    Attributes:
        top_ids: (m, k) the k likeliest, likeliest first.
        top_probabilities: (m, k) their probabilities.
        rank: (m) the rank of the model's answer, from 1; 1 + the number that are likelier.
        probability: (m) the probability of the model's answer.
        divergence: (m) the KL divergence of the model's distribution from this one, in nats.
        entropy: (m) in nats.
    """

    top_ids: Int[Tensor, "*l m k"]
    top_probabilities: Float[Tensor, "*l m k"]
    rank: Int[Tensor, "*l m"]
    probability: Float[Tensor, "*l m"]
    divergence: Float[Tensor, "*l m"]
    entropy: Float[Tensor, "*l m"]


def reading(logits: Float[Tensor, "m v"], final: Float[Tensor, "m v"], top: int) -> Reading:
    """What the distributions of logits say, beside the model's own.

    Args:
        logits: (m, v) of a layer.
        final: (m, v) the log-probabilities of the model.
        top: how many of the likeliest are kept.
    """
    log = logits.log_softmax(-1)
    best = log.topk(min(top, log.shape[-1]), dim=-1)
    answers = final.argmax(-1, keepdim=True)
    answer = log.gather(-1, answers)
    found = (
        best.indices,
        best.values.exp(),
        (log > answer).sum(-1) + 1,
        answer[..., 0].exp(),
        divergence(final, log).clamp(min=0),  # rounding alone makes it negative
        -_weighted(log, log).sum(-1),
    )
    return Reading(*(one.cpu() if one.dtype == torch.long else one.float().cpu() for one in found))


def divergence(final: Float[Tensor, "m v"], other: Float[Tensor, "*l m v"]) -> Float[Tensor, "*l m"]:
    """The KL divergence, in nats, of distributions from others, all as log-probabilities: sum of p · (ln p - ln q).

    Infinite where something possible is impossible in the others.

    Args:
        final: (m, v) p.
        other: (m, v) q, or several of them (l, m, v).
    """
    return _weighted(final, final - other).sum(-1)


def _weighted(log: Tensor, values: Tensor) -> Tensor:
    """Values times probabilities, 0 where the probability is."""
    likely = log.exp()
    return torch.where(likely > 0, likely * values, 0.0)
