"""What a random answer gets, and how sure a mean is: what stands beside every number."""

from __future__ import annotations

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

RESAMPLES = 2000


def interval_of_mean(values: Float[Tensor, " n"]) -> tuple[float, float] | None:
    """95 % bootstrap interval of a mean over inputs, seeded; None for fewer than two."""
    if len(values) < 2:
        return None
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)
    low, high = values[picks].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return (low, high)


class RandomDirections(ConceptSpace):
    """The floor of concept metrics: as many random orthonormal directions through the mean, encoded by projection."""

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean)

    @classmethod
    def like(cls, space: ConceptSpace, activations: Activations, seed: int = 0) -> RandomDirections:
        """As many directions as the space has concepts; at most as many as the activations are wide."""
        count = min(space.concepts, space.width)
        noise = torch.randn(space.width, count, generator=torch.Generator().manual_seed(seed))
        return cls(torch.linalg.qr(noise).Q.T.contiguous(), activations.values.float().mean(0))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return (values - self.mean) @ self.dictionary.T

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return codes @ self.dictionary + self.mean
