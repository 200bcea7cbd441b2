"""The ReLU sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.network import Network, Pass


class L1Network(Network):
    """A ReLU autoencoder whose codes cost as much as they are large."""

    def penalty(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        cost: Tensor = passed.codes.float().sum(1).mean() / rows.shape[1] ** 0.5
        return cost


@dataclass(frozen=True)
class SAE(PenalisedAutoencoder):
    """Learns directions of length 1 of which few, each added by a positive amount, come close to a row.

    The penalty makes all codes smaller than they should be, by half of `penalty` in units of the mean row's length: the
    newer variants exist to avoid that. With `resample`, dead concepts start anew from what is explained worst.

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
        penalty: what a code as large as a mean row is long costs, where a mean row unexplained costs 1.
        penalty_warm_up: share of the steps over which the penalty rises from 0.
        resample: steps after which dead concepts start anew, again and again through the first half of the training;
            never if 0. By default `revival` alone brings them back.

    Source: Bricken et al. 2023, Towards Monosemanticity, appendix "Advice for training", with rows scaled as in Conerly
    et al. 2024 (Circuits Updates, April). Departs from them in directions of length 1 throughout, in the auxiliary loss
    of Gao et al. 2024 for dead concepts, and in that concepts that start anew take the worst rows of a batch, not draws
    by squared loss.
    """

    resample: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resample < 0:
            raise InputError(f"SAE: resample={self.resample} is a number of steps, or 0 for never.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return L1Network(self.concepts, sample.shape[1], generator)

    def anew(self, step: int) -> bool:
        return self.resample > 0 and step % self.resample == 0 and 0 < step <= self.steps // 2
