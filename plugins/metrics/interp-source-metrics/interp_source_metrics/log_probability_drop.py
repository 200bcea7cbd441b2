"""How far the log-probability of an answer falls without its best sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError
from interp_core.metrics import Score
from interp_core.plugin import check_fields
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LogProbabilityDrop:
    """log p(target) less log p(target) without the units of highest attribution, in nats.

    The mean over how many are removed; `curves` of the score has the drop for each number, in order.

    Args:
        top: how many of the best units are removed. A text with fewer units loses all of them.

    Source: Cohen-Wang et al. 2024, arXiv:2409.00729, section 4, the top-k log-probability drop, with k = 1, 3, 5.
    """

    top: Sequence[int] = (1, 3, 5)

    higher_is_better: ClassVar[bool] = True
    space: ClassVar[str] = "log-probability"

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "top", tuple(self.top))
        if not self.top or min(self.top) < 1:
            raise InputError(f"top is {self.top}; one or more numbers of units, at least 1, were expected.")

    @property
    def definition(self) -> str:
        """The number in words."""
        numbers = ", ".join(map(str, self.top))
        return f"fall of the log-probability without the {numbers} units of highest attribution, mean over the numbers"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """One drop a target."""
        u = len(question.units)
        keep = torch.ones(len(question.targets), len(self.top), u, dtype=torch.bool)
        for k, scores in enumerate(attribution.scores):
            order = _ranked(scores, question.applicable[k])
            for i, count in enumerate(self.top):
                keep[k, i, order[:count]] = False
        scores = question.masked(keep.flatten(0, 1)).reshape(len(question.targets), len(self.top), -1)
        own = torch.arange(len(question.targets))
        drops: Float[Tensor, "k n"] = question.intact()[:, None] - scores[own, :, own]
        return Score(float(drops.mean()), True, drops.mean(1), curves=tuple(drops))


def _ranked(scores: Float[Tensor, " u"], applicable: Tensor) -> Tensor:
    """The applicable units, highest score first."""
    order = scores.argsort(descending=True, stable=True)
    return order[applicable[order]]
