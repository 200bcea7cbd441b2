"""Codes that are cosines."""

from __future__ import annotations

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


class CosineSpace(ConceptSpace):
    """Cosines, from -1 to 1, between a row and each concept, both taken from the mean row; 0 at the mean row.

    A cosine does not say how far a row is from the mean, so decoding places every row at the distance given by the
    length of the directions.

    Args:
        dictionary: (c, d) what one unit of each concept adds.
        mean: (d) the row that rows and concepts are taken from.
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
