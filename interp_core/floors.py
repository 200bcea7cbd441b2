"""What a random answer gets, and how sure a mean is: what stands beside every number."""

from __future__ import annotations

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

FEWEST = 5


def interval_of_mean(values: Float[Tensor, " n"]) -> tuple[float, float] | None:
    """95 % interval of a mean over inputs (Student's t); None for fewer than five, of which too little can be said.

    Source: the quantile is the expansion of Abramowitz, Stegun 1964, 26.7.5, within 0.5 % from five values on.
    """
    n = len(values)
    if n < FEWEST:
        return None
    z, v = 1.959964, n - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    mean, half = float(values.mean()), t * float(values.std()) / n**0.5
    return (mean - half, mean + half)


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
