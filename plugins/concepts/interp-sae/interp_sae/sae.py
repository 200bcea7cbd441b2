"""The ReLU sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.network import ForwardPass, Network


class L1Network(Network):
    """A ReLU autoencoder with an L1 penalty."""

    INITIAL_GAIN: ClassVar[float] = (
        0.3  # most concepts of a row are active at first: from large codes they unlearn longer
    )

    def penalty(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The sum of the codes of a row over the mean length of a row."""
        l1: Tensor = output.codes.float().sum(1).mean() / rows.shape[1] ** 0.5
        return l1


@dataclass(frozen=True)
class SAE(PenalisedAutoencoder):
    """Learns directions of length 1 such that each row is close to a sum of few of them with positive codes.

    The L1 penalty makes all codes smaller than they should be, by half of `penalty` in units of the mean row's length;
    the newer variants exist to avoid that. With `resample`, dead concepts restart from the rows reconstructed worst.

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
        penalty: weight of the L1 penalty, above 0: the cost of a code as large as the mean row is long, where a mean
            row that nothing explains costs 1.
        penalty_warmup: share of the steps, 0 to 1, over which the penalty rises linearly from 0.
        resample: number of steps after which dead concepts are resampled, repeatedly in the first half of the training;
            0 for never, so that the auxiliary loss alone revives them.

    Source: Bricken et al. 2023, Towards Monosemanticity, appendix "Advice for training", with rows scaled as in Conerly
    et al. 2024 (Circuits Updates, April). Departs from them in that directions have length 1 throughout, in the
    auxiliary loss of Gao et al. 2024 for dead concepts, and in that resampled concepts take the worst rows of a batch
    instead of rows drawn by their squared loss.
    """

    resample: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resample < 0:
            raise InputError(f"SAE: resample={self.resample} is a number of steps, or 0 for never.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return L1Network(self.concepts, sample.shape[1], generator)

    def resample_at(self, step: int) -> bool:
        return self.resample > 0 and step % self.resample == 0 and 0 < step <= self.steps // 2
