"""Methods that give out what they see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.attribution import Question
from torch import Tensor


@dataclass(frozen=True)
class Watch:
    """A method that gives out attention weights."""

    seen: list[Any] = field(default_factory=list)

    def attribute(self, question: Question) -> Tensor:
        question.internals.run(attention=lambda number, weights, _v: self.seen.append((number, weights[0].detach())))
        return torch.zeros(len(question.targets), len(question.units))


@dataclass(frozen=True)
class Emptied:
    """A method that gives the scores with all units removed."""

    seen: list[Any] = field(default_factory=list)

    def attribute(self, question: Question) -> Tensor:
        self.seen.append(question.masked(torch.zeros(1, len(question.units), dtype=torch.bool))[0])
        return torch.zeros(len(question.targets), len(question.units))
