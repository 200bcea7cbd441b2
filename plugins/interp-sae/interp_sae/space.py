"""The space that a sparse autoencoder has learnt."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

from interp_sae.selection import largest

CODES = 2**22  # worked out at a time; about four float64 numbers are held for each


class SAESpace(ConceptSpace):
    """A code is `(x - mean) @ encoder.T + bias` where that is above its threshold, else 0; a row is its codes times the
    dictionary plus the mean. Both take activations as they are, in their own units, and are differentiable.

    Codes are worked out in float64: a code jumps at its threshold, so that rounding could light or darken a concept
    depending on which rows are encoded together.

    Args:
        dictionary: (c, d), what one unit of each concept adds.
        encoder: (c, d), how each concept is read.
        bias: (c), added to what is read.
        mean: (d), taken off before reading and added after.
        threshold: (c), at least 0; 0 is a ReLU. A number stands for all concepts.
        active: at most so many codes of a row are kept, the largest; all of them if None.

    Source: Rajamanoharan et al. 2024, arXiv:2407.14435, equation 5 (JumpReLU), of which ReLU, gated and batch top-k
    autoencoders are special cases once they are trained; Gao et al. 2024, arXiv:2406.04093, equation 3 (top-k).
    """

    encoder: Tensor
    bias: Tensor
    mean: Tensor
    threshold: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        encoder: Float[Tensor, "c d"],
        bias: Float[Tensor, " c"],
        mean: Float[Tensor, " d"],
        threshold: Float[Tensor, " c"] | float = 0.0,
        active: int | None = None,
    ) -> None:
        super().__init__(dictionary)
        self.active = active
        self.register_buffer("encoder", encoder.detach().float())
        self.register_buffer("bias", bias.detach().float())
        self.register_buffer("mean", mean.detach().float())
        level = torch.as_tensor(threshold).detach().to(self.dictionary)
        self.register_buffer("threshold", level.clamp(min=0).expand(self.concepts).clone())

    def config(self) -> dict[str, Any]:
        return {"active": self.active}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, non-negative, most of them 0."""
        encoder, at_once = self.encoder.double().T, max(1, CODES // self.concepts)
        found = values.new_empty(len(values), self.concepts, dtype=torch.float32)
        for start in range(0, len(values), at_once):
            read = (values[start : start + at_once].double() - self.mean.double()) @ encoder + self.bias.double()
            codes = torch.where(read > self.threshold, read, 0.0)
            found[start : start + at_once] = codes if self.active is None else largest(codes, self.active)
        return found

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean
