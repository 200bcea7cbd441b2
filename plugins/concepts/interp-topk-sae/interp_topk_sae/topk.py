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
    """Top-k sparse autoencoder: each row keeps its k largest codes.

    Directions have length 1. No penalty shrinks the codes or needs tuning, since the number of concepts in a row is
    given. A row that needs fewer concepts still holds k, the superfluous ones with small codes.

    Codes are at least 0, in the units of the activations.

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
        k: maximum number of active concepts in a row, 1 to `concepts`; None for the square root of `concepts`, rounded.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="topk-sae", concepts=5, k=1, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Gao et al. 2024, arXiv:2406.04093, section 2.3 and appendix A, with a bias of the encoder, and with negative
        codes among the k largest set to 0.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return TopKNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
