"""The Matryoshka sparse autoencoder: nested dictionaries, each of which must explain the rows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from interp_batch_topk_sae.batch_topk import BatchTopKNetwork, BatchTopKSAE
from interp_core.errors import InputError
from interp_sae.network import Network, Pass
from jaxtyping import Float
from torch import Tensor


class MatryoshkaNetwork(BatchTopKNetwork):
    """A batch top-k autoencoder that is to explain rows by its first concepts alone as well, for each of some sizes."""

    sizes: tuple[int, ...] = ()

    def error(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        """The mean over the nested dictionaries of their squared errors."""
        back, total = self.mean.expand_as(rows), rows.new_zeros(())
        for start, stop in pairwise((0, *self.sizes)):
            back = back + (passed.codes[:, start:stop] @ self.dictionary[start:stop]).float()
            total = total + (rows - back).square().mean()
        return total / len(self.sizes)


@dataclass(frozen=True)
class MatryoshkaSAE(BatchTopKSAE):
    """Learns directions of length 1 of which the first few come as close to the rows as they can by themselves.

    Early concepts stay general, where other autoencoders would let a special concept take over a part of them: what has
    a special case is still seen. Concepts come in groups, the most general first.

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
        prefixes: shares of the concepts that must do by themselves, ascending to 1.

    Source: Bussmann et al. 2025, arXiv:2503.17547, equation 4, with codes as in Bussmann et al. 2024
    (arXiv:2412.06410). The squared errors are averaged, not summed.
    """

    prefixes: Sequence[float] = (0.0625, 0.125, 0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        rising = all(a < b for a, b in pairwise((0.0, *self.prefixes)))
        if not self.prefixes or not rising or self.prefixes[-1] != 1:
            raise InputError(f"MatryoshkaSAE: prefixes {self.prefixes} must rise from above 0 to 1.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        network = MatryoshkaNetwork(self.concepts, sample.shape[1], generator, self.held)
        network.sizes = tuple(sorted({max(1, round(share * self.concepts)) for share in self.prefixes}))
        return network
