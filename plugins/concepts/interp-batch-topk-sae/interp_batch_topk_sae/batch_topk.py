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
    """Batch top-k sparse autoencoder: of all codes of a batch the largest are kept, k for each row on average.

    Directions have length 1. Rows that need more concepts get them from rows that need fewer. Once trained, each row is
    encoded by itself: a concept is active where its pre-activation is above one threshold, the mean of the smallest
    codes that the last hundred batches kept.

    Codes are at least 0, in the units of the activations, and are not shrunk by any penalty.

    Args:
        concepts: number of concepts, at least 1.
        steps: number of training batches, at least 1; the rows are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: learning rate of Adam, above 0, for rows scaled so that a typical coordinate is 1; None for 0.1 /
            sqrt(width).
        warmup: share of the steps, 0 to 1, over which the learning rate rises linearly from 0.
        decay: share of the steps, 0 to 1, over which the learning rate falls linearly to 0 at the end; `warmup` and
            `decay` together are at most 1.
        aux_coefficient: weight of the auxiliary loss by which dead concepts learn what the others leave over; at least
            0, which leaves them dead.
        patience: number of steps without an active row after which a concept counts as dead, at least 1.
        seed: random seed of the initial directions and of the order of the rows.
        device: device to train on, such as `"cuda"`; the space is always on the CPU.
        dtype: number format of matrix products during training, `"float32"` or `"bfloat16"`; weights and the space are
            float32.
        checkpoint: folder that keeps the state of the training. If it holds one, training resumes from there and gives
            the same bits as if it had never stopped. None keeps no state.
        save_every: number of steps between checkpoints, at least 1.
        k: mean number of active concepts in a row, 1 to `concepts`; None for half the square root of `concepts`,
            rounded.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="batch-topk-sae", concepts=5, k=1, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Bussmann, Leask, Nanda 2024, arXiv:2412.06410, section 3. The threshold is equation 5 with the mean over the
        last hundred batches, not over the data. Negative codes among the largest are set to 0.
    """

    @property
    def k_in_use(self) -> int:
        """`k`, or its default, which is lower than for variants whose rows all hold k."""
        return self.k or max(1, round(self.concepts**0.5 / 2))

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return BatchTopKNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
