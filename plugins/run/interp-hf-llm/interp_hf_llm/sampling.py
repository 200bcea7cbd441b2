"""Draws of tokens that depend on nothing but the conversation and the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor


class GumbelNoise(LogitsProcessor):
    """Turns the choice of the largest logit into a draw from softmax(logits / temperature).

    Each row has a random generator of its own, so that its draws are the same in whatever batch it stands.

    Args:
        temperature: above 0.
        seeds: one a row.

    Source:
        The Gumbel-max trick: argmax of log-probabilities with independent Gumbel noise is a draw.
    """

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self.temperature = temperature
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(
        self, input_ids: Int[Tensor, "rows length"], scores: Float[Tensor, "rows vocabulary"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """The logits with noise."""
        draws = [torch.rand(scores.shape[1], generator=one, dtype=torch.float64) for one in self.generators]
        noise = -(-torch.stack(draws).log()).log()  # in float64, where no draw is 1 and next to none is 0
        return scores.float() / self.temperature + noise.to(scores.device, torch.float32)


def seed_of(seed: int, ids: Sequence[int]) -> int:
    """The seed of one conversation.

    Args:
        seed: of all conversations.
        ids: its tokens.
    """
    return int.from_bytes(hashlib.sha256(repr((seed, list(ids))).encode()).digest()[:7], "big")
