"""Random scores: what an explanation is worth that knows nothing of the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Random:
    """Scores drawn uniformly from -1 to 1, without asking the model anything.

    Each text and each target has a draw of its own, which depends on nothing else: not on the texts and targets beside
    it, and not on the model. There is no standard error, since nothing is estimated.

    Args:
        seed: of the draws.

    Source: definition. The floor that faithfulness metrics and sanity checks are read against; it must fail them.
    """

    seed: int = 0

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One row of draws for each target."""
        u = len(question.units)
        rows = []
        for target in question.targets:
            named = f"{self.seed}\n{target.label}\n{target.positions}\n{question.text}"
            digest = hashlib.sha256(named.encode()).digest()  # hash() is another one in every process
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
            rows.append(2 * torch.rand(u, generator=generator) - 1)
        return torch.stack(rows)
