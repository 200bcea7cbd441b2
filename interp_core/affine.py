"""The space of every method that encodes and decodes by a matrix and a shift."""

from __future__ import annotations

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor


class AffineSpace(ConceptSpace):
    """Codes are `(x - mean) @ encoder.T + bias`, and a row is `codes @ dictionary + mean`; both are differentiable.

    Args:
        dictionary: (c, d), what one unit of each concept adds.
        encoder: (c, d), how each concept is read.
        mean: (d), taken off before reading and added after; 0 by default.
        bias: (c), added to what is read; 0 by default.
    """

    encoder: Tensor
    mean: Tensor
    bias: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        encoder: Float[Tensor, "c d"],
        mean: Float[Tensor, " d"] | None = None,
        bias: Float[Tensor, " c"] | None = None,
    ) -> None:
        super().__init__(dictionary)
        count, width = dictionary.shape
        self.register_buffer("encoder", encoder.detach().float().reshape(count, width))
        self.register_buffer("mean", torch.zeros(width) if mean is None else mean.detach().float().reshape(width))
        self.register_buffer("bias", torch.zeros(count) if bias is None else bias.detach().float().reshape(count))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, of any sign."""
        return (values - self.mean) @ self.encoder.T + self.bias

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean
