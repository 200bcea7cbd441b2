"""Codes that are cosines."""

from __future__ import annotations

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


class CosineSpace(ConceptSpace):
    """Codes are cosines, -1 to 1, between a row and each concept, both seen from the mean row; 0 at the mean row.

    A cosine does not say how far a row is from the mean, so that decoding takes every row to be at the distance that
    the directions are long.

    Args:
        dictionary: (c, d), what one unit of each concept adds.
        mean: (d), where rows are seen from.
    """

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean.detach().float())

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The cosine of each row with each concept."""
        return normalize(values - self.mean, dim=1) @ normalize(self.dictionary, dim=1).T

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return torch.addmm(self.mean, codes, self.dictionary)
