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
    """Top-k log-probability drop: log p(target) less log p(target) without the k units of highest attribution.

    The value is in nats, the mean over the numbers k in `top`; `curves` of the score has the drop for each. Higher is
    better. The cost is one row of the model for each number and target.

    Args:
        top: numbers of the best units that are removed, each at least 1. A text with fewer units loses all of them.

    Raises:
        InputError: `top` is empty, holds a number below 1, or has another type.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="log-probability-drop", chance=False).value, 3)
        0.892

    Source:
        Cohen-Wang et al. 2024, arXiv:2409.00729, section 4, the top-k log-probability drop, with k = 1, 3, 5.
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
        """Measure one drop for each target.

        Returns:
            The mean over targets, with `values` and `curves` for each.
        """
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
