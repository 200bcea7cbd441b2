"""What a random answer gets: what stands beside every number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations, mean_of
from interp_core.attribution import Question
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

APART = 1_000_003  # so that no other draw of the same seed gives these directions


class RandomDirections(ConceptSpace):
    """The floor of concept metrics: as many random directions through the mean, encoded by projection.

    They are orthonormal; where there are more than dimensions, of length 1 and independent, and a row is decoded from
    their projections by least squares.
    """

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean)

    @classmethod
    def like(cls, space: ConceptSpace, activations: Activations, seed: int = 0) -> RandomDirections:
        """As many directions as the space has concepts."""
        noise = torch.randn(space.width, space.concepts, generator=torch.Generator().manual_seed(APART + seed))
        wide = space.concepts > space.width
        found = torch.nn.functional.normalize(noise, dim=0) if wide else torch.linalg.qr(noise).Q
        return cls(found.T.contiguous(), mean_of(activations))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return (values - self.mean) @ self.dictionary.T

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        if self.concepts <= self.width:
            return codes @ self.dictionary + self.mean
        back: Tensor = torch.linalg.pinv(self.dictionary.T)
        return codes @ back + self.mean


@dataclass(frozen=True)
class RandomFit:
    """The floor of metrics that learn a space again: random directions, others for another seed."""

    concepts: int = 20
    seed: int = 0

    def fit(self, activations: Activations) -> RandomDirections:
        """Directions that have nothing to do with the activations but their mean."""
        space = ConceptSpace(torch.zeros(self.concepts, activations.width))
        return RandomDirections.like(space, activations, self.seed)


@dataclass(frozen=True)
class RandomScores:
    """The floor of metrics that ask the method again: scores that look at nothing, new ones each time.

    Args:
        generator: of the draws.
        size: of the scores.
    """

    generator: torch.Generator
    size: float = 1.0

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Normal, as large as the scores they stand for."""
        return torch.randn(len(question.targets), len(question.units), generator=self.generator) * self.size
