"""The batch top-k sparse autoencoder: as many codes as rows times k, wherever they are largest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import CountedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network, Pass
from interp_sae.selection import largest_of_all
from jaxtyping import Float
from torch import Tensor

MEMORY = 100  # batches over which the threshold is averaged


class BatchTopKNetwork(Network):
    """An autoencoder that keeps so many codes for each row of a batch on average, and learns above which they are."""

    threshold: Tensor
    batches: Tensor

    def __init__(self, concepts: int, width: int, generator: torch.Generator, active: int) -> None:
        super().__init__(concepts, width, generator)
        self.active = active
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return largest_of_all(read.relu(), self.active)

    @torch.no_grad()
    def watch(self, passed: Pass) -> None:
        """Take in the smallest code that was kept."""
        super().watch(passed)
        codes = passed.codes.float()
        smallest = torch.where(codes > 0, codes, torch.inf).amin()
        if bool(smallest.isfinite()):
            self.batches += 1
            self.threshold += (smallest - self.threshold) / self.batches.clamp(max=MEMORY)

    def space(self, frame: Frame) -> ConceptSpace:
        return self.read_by(frame, self.encoder, self.bias, self.threshold)


@dataclass(frozen=True)
class BatchTopKSAE(CountedAutoencoder):
    """Learns directions of length 1 of which so many on average, each added by a positive amount, come close to a row.

    Rows that need more concepts get them from rows that need fewer. Once trained, a row is encoded by itself: a concept
    is active where it reads more than a threshold, the mean of the smallest codes that the last hundred batches kept.

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
        active: how many concepts a row holds on average; half the square root of `concepts`, rounded, if None.

    Source: Bussmann, Leask, Nanda 2024, arXiv:2412.06410, section 3; the threshold is equation 5 with the mean over the
    last hundred batches, not over the data. With the negative of the largest codes put to 0.
    """

    @property
    def held(self) -> int:
        """How many concepts a row holds on average; fewer than where each row must hold as many."""
        return self.active or max(1, round(self.concepts**0.5 / 2))

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return BatchTopKNetwork(self.concepts, sample.shape[1], generator, self.held)
