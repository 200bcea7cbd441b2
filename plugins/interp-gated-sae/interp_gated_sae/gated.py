"""The gated sparse autoencoder: which concepts are active is found apart from how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network, Pass
from jaxtyping import Float
from torch import Tensor, nn


class GatedNetwork(Network):
    """An autoencoder that opens gates by what it reads, and sizes what passes by a scale and a bias of its own."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator) -> None:
        super().__init__(concepts, width, generator)
        self.log_scale = nn.Parameter(torch.zeros(concepts))
        self.size_bias = nn.Parameter(torch.zeros(concepts))

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """The size where the gate is open; no slope passes through the gate."""
        size = self.log_scale.exp() * (read - self.bias) + self.size_bias
        return size.relu() * (read > 0)

    def error(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        """That of the codes, and that of what the gates read, by which gates learn; the latter moves no direction."""
        by_gates = (passed.read.relu() @ self.dictionary.detach()).float() + self.mean.detach()
        return super().error(rows, passed) + (rows - by_gates).square().mean()

    def penalty(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        cost: Tensor = passed.read.float().relu().sum(1).mean() / rows.shape[1] ** 0.5
        return cost

    def space(self, frame: Frame) -> ConceptSpace:
        """A gate is open where the size is above a threshold: both are read along the same direction."""
        scale = self.log_scale.exp()
        threshold = self.size_bias - scale * self.bias
        return self.read_by(frame, scale[:, None] * self.encoder, self.size_bias, threshold)


@dataclass(frozen=True)
class GatedSAE(PenalisedAutoencoder):
    """Learns directions of length 1 with a gate each, of which few come close to a row.

    The penalty is on what the gates read, not on the codes, so that it does not shrink them.

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
        penalty: what it costs that a gate reads as much as a mean row is long, where a mean row unexplained costs 1.
        penalty_warm_up: share of the steps over which the penalty rises from 0.

    Source: Rajamanoharan et al. 2024, arXiv:2404.16014, equations 6 to 8, with weights tied as there. The learnt space
    has a threshold in place of each gate, which is the same (their section 3.2). Departs from it in the auxiliary
    loss of Gao et al. 2024 for dead concepts.
    """

    penalty: float = 0.3

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return GatedNetwork(self.concepts, sample.shape[1], generator)
