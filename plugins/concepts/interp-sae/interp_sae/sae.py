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
    """Sparse autoencoder (SAE) with ReLU codes and an L1 penalty.

    Directions have length 1, and a row is approximated by a sum of few of them with codes of at least 0, in the units
    of the activations. The L1 penalty makes all codes too small, by half of `penalty` in units of the mean length of a
    row; the newer variants exist to avoid that. With `resample`, dead concepts restart from the rows that are
    reconstructed worst.

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
        penalty: weight of the L1 penalty, above 0. It is the cost of a code as large as the mean length of a row, where
            the squared error of a mean row that nothing explains costs 1.
        penalty_warmup: share of the steps, 0 to 1, over which the penalty rises linearly from 0.
        resample: number of steps after which dead concepts are resampled, repeatedly in the first half of the training;
            0 for never, so that the auxiliary loss alone revives them.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="sae", concepts=5, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Bricken et al. 2023, Towards Monosemanticity, appendix "Advice for training", with rows scaled as in Conerly et
        al. 2024 (Circuits Updates, April). Departs from them in that directions have length 1 throughout, in the
        auxiliary loss of Gao et al. 2024 for dead concepts, and in that resampled concepts take the worst rows of a
        batch in place of rows drawn by their squared loss.
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
