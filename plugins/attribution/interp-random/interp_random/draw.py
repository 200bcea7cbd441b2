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
    """Random scores, uniform from -1 to 1, without evaluating the model: the chance level of attribution metrics.

    Each text and target has a draw of its own, which depends only on these and the seed: not on other texts or targets,
    and not on the model. The scores mean nothing and must fail every faithfulness metric and sanity check. There is no
    standard error, since nothing is estimated. The cost is no row of the model beyond that of the intact text.

    Args:
        seed: random seed of the draws.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> first, again = interp.attribute(model, ["so happy today", "so happy today"], by="random", seed=1)
        >>> bool((first.scores.abs() <= 1).all()), bool((first.scores == again.scores).all())
        (True, True)

    Source:
        By definition.
    """

    seed: int = 0

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target.

        Returns:
            One row of draws for each target.
        """
        u = len(question.units)
        rows = []
        for target in question.targets:
            named = f"{self.seed}\n{target.label}\n{target.positions}\n{question.text}"
            digest = hashlib.sha256(named.encode()).digest()  # hash() is another one in every process
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
            rows.append(2 * torch.rand(u, generator=generator) - 1)
        return torch.stack(rows)
