"""The matching pursuit sparse autoencoder: one concept after another, each from the residual of those before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import KSparseAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor


def pursue(rows: Float[Tensor, "n d"], dictionary: Float[Tensor, "c d"], steps: int) -> Float[Tensor, "n c"]:
    """Codes of rows by greedy steps, each of which takes the direction that fits the residual best.

    A direction may be taken again; where all have a negative product with the residual, none is taken.

    Args:
        rows: (n, d).
        dictionary: (c, d), rows of length 1.
        steps: how many.
    """
    residual, codes = rows, rows.new_zeros(len(rows), len(dictionary))
    for _ in range(steps):
        size, best = (residual @ dictionary.T).relu().max(dim=1, keepdim=True)
        codes = codes.scatter_add(1, best, size.to(codes))
        residual = residual - size * dictionary[best[:, 0]]
    return codes


class MatchingPursuitSpace(ConceptSpace):
    """Greedy codes: the concept that fits a row best is subtracted, then the one that fits the rest best, and so on.

    A reconstruction is `codes @ dictionary + mean`. Codes are computed in float64, since rounding could change which
    concept fits best.

    Args:
        dictionary: (c, d), directions of length 1.
        mean: (d), subtracted before encoding and added back after.
        k: greedy steps of each row, and so the most codes that it has; 1 or more.
        active: what `k` is called in files of release 0.1.

    Source: Mallat, Zhang 1993, IEEE Transactions on Signal Processing 41(12), with positive codes.
    """

    mean: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        mean: Float[Tensor, " d"],
        k: int | None = None,
        *,
        active: int | None = None,
    ) -> None:
        super().__init__(dictionary)
        steps = active if k is None else k
        if steps is None or steps < 1:
            raise InputError(f"k={steps}; the number of greedy steps is needed, at least 1.")
        self.k = steps
        self.register_buffer("mean", mean.detach().float())

    def config(self) -> dict[str, Any]:
        return {"k": self.k}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, non-negative, most of them 0."""
        return pursue(values.double() - self.mean.double(), self.dictionary.double(), self.k).float()

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean


class MatchingPursuitNetwork(Network):
    """An autoencoder without an encoder: the dictionary reads and writes."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, k: int) -> None:
        super().__init__(concepts, width, generator)
        self.k = k
        del self.encoder, self.bias

    def forward(self, rows: Float[Tensor, "b d"]) -> ForwardPass:
        centred = rows - self.mean
        codes = pursue(centred, self.dictionary, self.k)
        return ForwardPass(centred @ self.dictionary.T, codes, self.decode(codes))

    def space(self, scaling: InputScaling) -> ConceptSpace:
        return MatchingPursuitSpace(self.dictionary, scaling.centre + self.mean / scaling.scale, self.k)


@dataclass(frozen=True)
class MatchingPursuitSAE(KSparseAutoencoder):
    """Learns directions of length 1 that reconstruct rows when they are taken one after another.

    It reconstructs better than other sparse autoencoders with as many concepts per row, since each step knows the
    residual of those before; it may also spend meaningless directions on what superposition leaves over. Encoding
    takes `k` passes over the dictionary.

    Args:
        concepts: number of directions, at least 1.
        steps: number of training batches, at least 1; the activations are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: Adam's, above 0, for rows scaled so that a typical coordinate is 1; 0.1 / sqrt(width) if None.
        warmup: share of the steps, 0 to 1, over which the learning rate rises linearly from 0.
        decay: share of the steps, 0 to 1, over which the learning rate falls linearly to 0 at the end; `warmup` and
            `decay` together are at most 1.
        aux_coefficient: weight of the auxiliary loss, by which dead concepts learn to explain what the others miss; at
            least 0, which leaves them dead.
        patience: steps without an active row after which a concept counts as dead, at least 1.
        seed: of the initial directions and of the order of the rows.
        device: where to train, such as `cuda`; the space is always on the CPU.
        dtype: of matrix products during training, `float32` or `bfloat16`; weights and the space are float32.
        checkpoint: folder that keeps the state of the training; if it holds one, the training is resumed from there,
            with the same bits as if it had never stopped. None keeps no state.
        save_every: steps between checkpoints, at least 1.
        k: greedy steps of each row, 1 to `concepts`; the square root of `concepts`, rounded, if None.

    Source: Costa et al. 2025, arXiv:2506.03093, section 3, with the auxiliary loss of Gao et al. 2024 for dead
    concepts.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return MatchingPursuitNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
