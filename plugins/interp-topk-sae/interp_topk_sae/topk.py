"""The top-k sparse autoencoder: the largest codes of each row, and no penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import CountedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network
from interp_sae.selection import largest
from jaxtyping import Float
from torch import Tensor


class TopKNetwork(Network):
    """An autoencoder that keeps so many codes of each row, where they are positive."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, active: int) -> None:
        super().__init__(concepts, width, generator)
        self.active = active

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return largest(read.relu(), self.active)

    def space(self, frame: Frame) -> ConceptSpace:
        return self.read_by(frame, self.encoder, self.bias, active=self.active)


@dataclass(frozen=True)
class TopKSAE(CountedAutoencoder):
    """Learns directions of length 1 of which so many, each added by a positive amount, come close to a row.

    Nothing shrinks the codes, and how many a row holds is given, not found by trying penalties. A row that needs fewer
    holds as many all the same, the rest of them small.

    Args:
        concepts: how many directions.
        steps: batches that are learnt from; as many passes over the activations as that takes.
        batch_size: rows of a batch.
        learning_rate: how far a direction may turn in a step, about, in radians.
        warm_up: share of the steps over which the learning rate rises from 0.
        decay: share of the steps over which it falls to 0 in the end.
        revival: weight of the loss by which dead concepts learn what the others leave over; 0 lets them be dead.
        patience: a concept is dead when no row of so many steps has it.
        seed: of the directions to start from, and the order of the rows.
        device: where to compute; the space is always on the CPU.
        dtype: of matrix products while training: float32 or bfloat16. Weights and the space are float32.
        checkpoint: folder that the state of the training is kept in, and from which it goes on.
        save_every: steps between checkpoints.
        active: how many concepts a row holds, at most; the square root of `concepts`, rounded, if None.

    Source: Gao et al. 2024, arXiv:2406.04093, section 2.3 and appendix A, with a bias of the encoder, and with the
    negative of the largest codes put to 0.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return TopKNetwork(self.concepts, sample.shape[1], generator, self.held)
