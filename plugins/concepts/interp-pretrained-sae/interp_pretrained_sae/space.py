"""The space of a sparse autoencoder that was trained elsewhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

NUMBERS = 2**22  # codes computed at a time
LATENTS = 4096  # whose encoder is held in float64 at a time
SMALLEST = 1e-12  # length of a row that is divided by

Scaling = Literal["none", "constant-norm", "layer-norm"]
OWN = {"none": (), "constant-norm": ("size of the row",), "layer-norm": ("spread of the row", "mean of the row")}


RENAMED = {"top": "k"}  # fields of `Reading` in files of release 0.1


@dataclass(frozen=True)
class Reading:
    """How a row is read, beside the weights.

    Args:
        k: codes of a row that are kept, the largest; 0 for all of them.
        signed: the largest in absolute value are kept, with their signs.
        grouped: the k that are kept are the largest of each of k groups of neighbouring latents.
        centred: the offset is subtracted before the row is read.
        scaling: what each row is brought to before: `constant-norm` the length √d, `layer-norm` mean 0 and spread 1.
    """

    k: int = 0
    signed: bool = False
    grouped: bool = False
    centred: bool = True
    scaling: Scaling = "none"


class PretrainedSpace(ConceptSpace):
    """Latents of a sparse autoencoder; their codes are those that the library which trained it gives.

    A code is what the encoder reads where that is above the threshold, else 0 (JumpReLU; ReLU, gated and batch top-k
    autoencoders are special cases once they are trained), or the largest of a row (top-k). A row is its codes times
    the dictionary plus the offset. Where rows are scaled before they are read, codes are in units of the scaled row,
    so the row's own size is needed on the way back: it is one more code of each row, after those of the latents (its
    mean another, under `layer-norm`), and decoding multiplies by it.

    Codes are computed in float64, some rows and latents at a time: they jump at the threshold, so that rounding
    could switch a latent on or off depending on which rows are encoded together. Both directions are differentiable.

    Args:
        dictionary: (c, d), what one unit of each latent adds; rows for a row's own codes are put after them.
        encoder: (l, d), how each latent is read.
        bias: (l), added to what is read.
        offset: (d), added to what is decoded.
        threshold: (l), a code up to this is 0; 0 by default, which is a ReLU, and a negative one is taken as 0.
        reading: see `Reading`, or its fields as a dict.

    Source:
        Rajamanoharan et al. 2024, arXiv:2407.14435, equation 5 and appendix on gated autoencoders; Gao et al. 2024,
        arXiv:2406.04093, equation 3; Zhu et al. 2025, arXiv:2510.00404 (signed top-k).
    """

    encoder: Tensor
    bias: Tensor
    offset: Tensor
    threshold: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        encoder: Float[Tensor, "l d"],
        bias: Float[Tensor, " l"],
        offset: Float[Tensor, " d"],
        threshold: Float[Tensor, " l"] | None = None,
        *,
        reading: Reading | dict[str, Any] | None = None,
    ) -> None:
        if isinstance(reading, dict):
            reading = Reading(**{RENAMED.get(name, name): value for name, value in reading.items()})
        how = reading or Reading()
        own = torch.stack([offset, torch.ones_like(offset)]).float()[: len(OWN[how.scaling])]
        super().__init__(torch.cat([dictionary[: len(encoder)].float(), own]) if len(own) else dictionary)
        if how.k > len(encoder):
            raise InputError(f"k={how.k} codes of {len(encoder)} latents cannot be kept; at most all of them can.")
        self.reading = how
        self.register_buffer("encoder", encoder.detach().float().contiguous())
        self.register_buffer("bias", bias.detach().float())
        self.register_buffer("offset", offset.detach().float())
        level = torch.zeros_like(bias) if threshold is None else threshold
        self.register_buffer("threshold", level.detach().float().clamp(min=0))
        self.names = [f"latent {i}" for i in range(self.latents)] + list(OWN[how.scaling])

    @property
    def latents(self) -> int:
        """The number of latents l; the concepts after them are the row's own."""
        return int(self.encoder.shape[0])

    def config(self) -> dict[str, Any]:
        return {"reading": dataclasses.asdict(self.reading)}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, most of them 0."""
        block = max(1, NUMBERS // self.concepts)
        if len(values) <= block:
            return self._codes(values)
        codes = values.new_empty(len(values), self.concepts, dtype=self.dictionary.dtype)
        for start in range(0, len(values), block):
            codes[start : start + block] = self._codes(values[start : start + block])
        return codes

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        rows = codes[:, : self.latents] @ self.dictionary[: self.latents] + self.offset
        own = codes[:, self.latents :]
        if self.reading.scaling == "constant-norm":
            return rows * own
        return rows * own[:, :1] + own[:, 1:] if self.reading.scaling == "layer-norm" else rows

    def _codes(self, values: Float[Tensor, "b d"]) -> Float[Tensor, "b c"]:
        rows, own = self._scaled(values.double())
        rows = rows - self.offset if self.reading.centred else rows
        read = torch.cat([rows @ part.double().T for part in self.encoder.split(LATENTS)], dim=1) + self.bias
        codes = self._kept(read).to(self.dictionary.dtype)
        return torch.cat([codes, *(one.to(codes) for one in own)], dim=1) if own else codes

    def _scaled(self, rows: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "b d"], tuple[Float[Tensor, "b 1"], ...]]:
        """The rows as the autoencoder wants them, and what was taken from each."""
        if self.reading.scaling == "constant-norm":
            size = rows.norm(dim=1, keepdim=True) / self.width**0.5
            return rows / size.clamp(min=SMALLEST), (size,)
        if self.reading.scaling == "layer-norm":
            mean, spread = rows.mean(dim=1, keepdim=True), rows.std(dim=1, keepdim=True)
            return (rows - mean) / (spread + 1e-5), (spread, mean)
        return rows, ()

    def _kept(self, read: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
        if self.reading.k:
            sizes = read.abs() if self.reading.signed else read
            if self.reading.grouped:
                starts = torch.arange(0, self.latents, self.latents // self.reading.k, device=read.device)
                largest = starts + sizes.unflatten(1, (self.reading.k, -1)).argmax(dim=2)
            else:
                largest = sizes.topk(self.reading.k, dim=1).indices
            read = torch.zeros_like(read).scatter(1, largest, read.gather(1, largest))
        return read if self.reading.signed else torch.where(read > self.threshold, read, torch.zeros_like(read))
