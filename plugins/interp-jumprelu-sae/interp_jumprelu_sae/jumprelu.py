"""The JumpReLU sparse autoencoder: a threshold for each concept, learnt through estimates of its slope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network, Pass
from jaxtyping import Float
from torch import Tensor, nn

START = 0.1  # the first threshold, where a typical coordinate of a row is 1


def above(read: Float[Tensor, "b c"], threshold: Float[Tensor, " c"], bandwidth: float) -> Float[Tensor, "b c"]:
    """1 where what was read is above the threshold, else 0; its slope by the threshold is estimated.

    Source: Rajamanoharan et al. 2024, equation 12, with the rectangle for a kernel.
    """
    near = ((read - threshold).abs() < bandwidth / 2).to(threshold) / bandwidth
    return (read > threshold).to(threshold) - near * (threshold - threshold.detach())


def jump(read: Float[Tensor, "b c"], threshold: Float[Tensor, " c"], bandwidth: float) -> Float[Tensor, "b c"]:
    """What was read where that is above the threshold, else 0; its slope by the threshold is estimated.

    Source: Rajamanoharan et al. 2024, equation 11, with the rectangle for a kernel.
    """
    near = ((read - threshold).abs() < bandwidth / 2).to(threshold) / bandwidth
    kept = read * (read > threshold)
    return kept - threshold.detach() * near * (threshold - threshold.detach())


class JumpReLUNetwork(Network):
    """An autoencoder whose concepts are active above thresholds, and cost by how many are."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, bandwidth: float) -> None:
        super().__init__(concepts, width, generator)
        self.bandwidth = bandwidth
        self.log_threshold = nn.Parameter(torch.full((concepts,), math.log(START)))

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return jump(read.float(), self.log_threshold.exp(), self.bandwidth)

    def penalty(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        return above(passed.read.float(), self.log_threshold.exp(), self.bandwidth).sum(1).mean()

    def space(self, frame: Frame) -> ConceptSpace:
        return self.read_by(frame, self.encoder, self.bias, self.log_threshold.exp())


@dataclass(frozen=True)
class JumpReLUSAE(PenalisedAutoencoder):
    """Learns directions of length 1 with a threshold each, of which few come close to a row.

    The penalty counts concepts in place of adding up their sizes, so that it does not shrink them.

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
        penalty: what one active concept costs, where a mean row unexplained costs 1.
        penalty_warm_up: share of the steps over which the penalty rises from 0.
        bandwidth: thresholds learn from what is read within half of it, where a typical coordinate of a row is 1.

    Source: Rajamanoharan et al. 2024, arXiv:2407.14435, equations 9 to 12. Departs from it in the bandwidth and the
    first threshold, for fewer and smaller batches, and in the auxiliary loss of Gao et al. 2024 for dead concepts.
    """

    penalty: float = 0.01
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bandwidth <= 0:
            raise InputError(f"JumpReLUSAE: bandwidth={self.bandwidth} must be above 0; thresholds would not learn.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return JumpReLUNetwork(self.concepts, sample.shape[1], generator, self.bandwidth)
