"""The space that a sparse autoencoder has learnt."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

from interp_sae.selection import topk

CODES = 2**22  # computed at a time; about four float64 numbers are held for each


class SAESpace(ConceptSpace):
    """A trained sparse autoencoder, in the units of the activations.

    A code is `(x - mean) @ encoder.T + bias` where that is above its threshold, else 0; a reconstruction is `codes @
    dictionary + mean`. Both are differentiable. Codes are computed in float64: a code jumps at its threshold, so that
    rounding could switch a concept on or off depending on which rows are encoded together.

    A variant whose trained network is of this form builds one (`Network.space_of` does); a variant that encodes in
    another way, as matching pursuit does, has its own `ConceptSpace`.

    Args:
        dictionary: (c, d) what one unit of each concept adds.
        encoder: (c, d) the direction along which each concept is read.
        bias: (c) added to what is read, in units of codes.
        mean: (d) subtracted before reading and added back after.
        threshold: (c) or one number for all concepts, at least 0 (negative values are taken as 0); 0 is a ReLU.
        k: number of codes of a row that are kept, the largest, at least 1; None for all of them.
        active: the name of `k` in files of release 0.1.

    Source:
        Rajamanoharan et al. 2024, arXiv:2407.14435, equation 5 (JumpReLU), of which ReLU, gated and batch top-k
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
        *,
        k: int | None = None,
        active: int | None = None,
    ) -> None:
        super().__init__(dictionary)
        self.k = active if k is None else k
        self.register_buffer("encoder", encoder.detach().float())
        self.register_buffer("bias", bias.detach().float())
        self.register_buffer("mean", mean.detach().float())
        level = torch.as_tensor(threshold).detach().to(self.dictionary)
        self.register_buffer("threshold", level.clamp(min=0).expand(self.concepts).clone())

    def config(self) -> dict[str, Any]:
        return {"k": self.k}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, non-negative, most of them 0."""
        encoder, at_once = self.encoder.double().T, max(1, CODES // self.concepts)
        codes = values.new_empty(len(values), self.concepts, dtype=torch.float32)
        for start in range(0, len(values), at_once):
            part = slice(start, start + at_once)
            read = (values[part].double() - self.mean.double()) @ encoder + self.bias.double()
            above = torch.where(read > self.threshold, read, 0.0)
            codes[part] = above if self.k is None else topk(above, self.k)
        return codes

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean
