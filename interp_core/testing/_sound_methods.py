"""Sound methods, for metrics that run a method again, and the work for executors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.attribution import Question
from interp_core.concepts import ConceptSpace
from interp_core.testing._planted_worlds import MixedSpace
from torch import Tensor


@dataclass(frozen=True)
class InputXGradient:
    """Input times gradient."""

    def attribute(self, question: Question) -> Tensor:
        """Signed scores."""
        (gradient,) = question.gradients(question.x[None])
        return question.pool(((question.x - question.baseline) * gradient).sum(-1))


@dataclass(frozen=True)
class Fixed:
    """A method that returns a fixed space; if not steady, its dictionary is rotated, differently for each seed."""

    space: ConceptSpace
    steady: bool = True
    seed: int = 0

    def fit(self, _activations: Activations) -> ConceptSpace:
        """The space, whatever the activations."""
        if self.steady:
            return self.space
        generator = torch.Generator().manual_seed(self.seed)
        rotation = torch.linalg.qr(torch.randn(self.space.width, self.space.width, generator=generator)).Q
        return MixedSpace(self.space.dictionary @ rotation, torch.zeros(self.space.width))
