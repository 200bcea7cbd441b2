"""The top-k sparse autoencoder: the k largest codes of each row, and no penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import KSparseAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import Network
from interp_sae.selection import topk
from jaxtyping import Float
from torch import Tensor


class TopKNetwork(Network):
    """An autoencoder that keeps the k largest codes of each row, where they are positive."""

    KEEPS_OR_DROPS: ClassVar[bool] = True

    def __init__(self, concepts: int, width: int, generator: torch.Generator, k: int) -> None:
        super().__init__(concepts, width, generator)
        self.k = k

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return topk(pre_activations.relu(), self.k)

    def space(self, scaling: InputScaling) -> ConceptSpace:
        return self.space_of(scaling, self.encoder, self.bias, k=self.k)


@dataclass(frozen=True)
class TopKSAE(KSparseAutoencoder):
    """Learns directions of length 1 such that each row is close to a sum of k of them with positive codes.

    Nothing shrinks the codes, and the number of concepts per row is a hyperparameter, so that no penalty needs tuning.
    A row that needs fewer still holds k, the superfluous ones with small codes.

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
        k: how many concepts a row holds at most, 1 to `concepts`; the square root of `concepts`, rounded, if None.

    Source: Gao et al. 2024, arXiv:2406.04093, section 2.3 and appendix A, with a bias of the encoder, and with negative
    codes among the k largest set to 0.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return TopKNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
