"""The batch top-k sparse autoencoder: the n * k largest codes of a batch of n rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import KSparseAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import ForwardPass, Network
from interp_sae.selection import batch_topk
from jaxtyping import Float
from torch import Tensor

MEMORY = 100  # batches over which the threshold is averaged


class BatchTopKNetwork(Network):
    """An autoencoder that keeps k codes per row of a batch on average, and learns the threshold that they are above.

    Attributes:
        threshold: buffer, the smallest code that a batch keeps, averaged over the last `MEMORY` batches.
        batches: buffer, how many batches that kept a code it has seen.
    """

    KEEPS_OR_DROPS: ClassVar[bool] = True

    threshold: Tensor
    batches: Tensor

    def __init__(self, concepts: int, width: int, generator: torch.Generator, k: int) -> None:
        super().__init__(concepts, width, generator)
        self.k = k
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return batch_topk(pre_activations.relu(), self.k)

    @torch.no_grad()
    def update_activity(self, output: ForwardPass) -> None:
        """Updates the threshold with the smallest code that was kept."""
        super().update_activity(output)
        codes = output.codes.float()
        smallest = torch.where(codes > 0, codes, torch.inf).amin()
        if bool(smallest.isfinite()):
            self.batches += 1
            self.threshold += (smallest - self.threshold) / self.batches.clamp(max=MEMORY)

    def space(self, scaling: InputScaling) -> ConceptSpace:
        return self.space_of(scaling, self.encoder, self.bias, threshold=self.threshold)


@dataclass(frozen=True)
class BatchTopKSAE(KSparseAutoencoder):
    """Learns directions of length 1 such that each row is close to a sum of k of them on average, with positive codes.

    Rows that need more concepts get them from rows that need fewer. Once trained, a row is encoded by itself: a concept
    is active where it reads more than a threshold, the mean of the smallest codes that the last hundred batches kept.

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

    Source: Bussmann, Leask, Nanda 2024, arXiv:2412.06410, section 3; the threshold is equation 5 with the mean over the
    last hundred batches, not over the data. Negative codes among the largest are set to 0.
    """

    @property
    def k_in_use(self) -> int:
        """`k`, or its default, which is lower than for variants whose rows all hold k."""
        return self.k or max(1, round(self.concepts**0.5 / 2))

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return BatchTopKNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
