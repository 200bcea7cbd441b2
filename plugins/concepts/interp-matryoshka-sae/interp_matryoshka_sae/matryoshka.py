"""The Matryoshka sparse autoencoder: nested dictionaries, each of which must reconstruct the rows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from interp_batch_topk_sae.batch_topk import BatchTopKNetwork, BatchTopKSAE
from interp_core.errors import InputError
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor


class MatryoshkaNetwork(BatchTopKNetwork):
    """A batch top-k autoencoder that must reconstruct rows by its first concepts alone, for each of several sizes.

    Attributes:
        sizes: how many concepts each nested dictionary has, ascending to all of them.
    """

    sizes: tuple[int, ...] = ()

    def reconstruction_loss(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The squared error, averaged over the nested dictionaries."""
        reconstruction, total = self.mean.expand_as(rows), rows.new_zeros(())
        for start, stop in pairwise((0, *self.sizes)):
            reconstruction = reconstruction + (output.codes[:, start:stop] @ self.dictionary[start:stop]).float()
            total = total + (rows - reconstruction).square().mean()
        return total / len(self.sizes)


@dataclass(frozen=True)
class MatryoshkaSAE(BatchTopKSAE):
    """Learns directions of length 1 of which the first few alone come as close to the rows as they can.

    Early concepts stay general: other autoencoders let a special concept take over a part of a general one, which is
    then missing where the special one is active. Concepts come in groups, the most general first.

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
        k: how many concepts a row holds on average, 1 to `concepts`; half the square root of `concepts`, rounded, if
            None.
        prefixes: shares of the concepts that each nested dictionary has, ascending from above 0 to 1.

    Source: Bussmann et al. 2025, arXiv:2503.17547, equation 4, with codes as in Bussmann et al. 2024
    (arXiv:2412.06410). The squared errors are averaged, not summed.
    """

    prefixes: Sequence[float] = (0.0625, 0.125, 0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        rising = all(a < b for a, b in pairwise((0.0, *self.prefixes)))
        if not self.prefixes or not rising or self.prefixes[-1] != 1:
            raise InputError(f"MatryoshkaSAE: prefixes {self.prefixes} must rise from above 0 to 1.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        network = MatryoshkaNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
        network.sizes = tuple(sorted({max(1, round(share * self.concepts)) for share in self.prefixes}))
        return network
