"""The Matryoshka sparse autoencoder: nested dictionaries, each of which must reconstruct the rows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from interp_batch_topk_sae.batch_topk import BatchTopKNetwork, BatchTopKSAE
from interp_core.errors import InputError
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor


class MatryoshkaNetwork(BatchTopKNetwork):
    """A batch top-k autoencoder that must reconstruct rows by its first concepts alone, for each of several sizes.

    Attributes:
        sizes: how many concepts each nested dictionary has, ascending to all of them.
    """

    sizes: tuple[int, ...] = ()

    def reconstruction_loss(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The squared error, averaged over the nested dictionaries."""
        reconstruction, total = self.mean.expand_as(rows), rows.new_zeros(())
        for start, stop in pairwise((0, *self.sizes)):
            reconstruction = reconstruction + (output.codes[:, start:stop] @ self.dictionary[start:stop]).float()
            total = total + (rows - reconstruction).square().mean()
        return total / len(self.sizes)


@dataclass(frozen=True)
class MatryoshkaSAE(BatchTopKSAE):
    """Matryoshka sparse autoencoder: nested dictionaries, each of which must reconstruct the rows by itself.

    The loss is the mean over `prefixes` of the error of a reconstruction from the first concepts alone. Early concepts
    stay general: in other autoencoders a special concept may take over part of a general one, which is then missing
    where the special one is active. Concepts are ordered in groups, the most general first. Directions have length 1,
    and codes are chosen as in `batch-topk-sae`.

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
        k: mean number of active concepts in a row, 1 to `concepts`; None for half the square root of `concepts`,
            rounded.
        prefixes: sizes of the nested dictionaries as shares of all concepts, ascending, above 0; the last is 1.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="matryoshka-sae", concepts=5, k=1, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Bussmann et al. 2025, arXiv:2503.17547, equation 4, with codes as in Bussmann et al. 2024 (arXiv:2412.06410).
        The squared errors are averaged, not summed.
    """

    prefixes: Sequence[float] = (0.0625, 0.125, 0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        rising = all(a < b for a, b in pairwise((0.0, *self.prefixes)))
        if not self.prefixes or not rising or self.prefixes[-1] != 1:
            raise InputError(f"MatryoshkaSAE: prefixes {self.prefixes} must rise from above 0 to 1.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        network = MatryoshkaNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
        network.sizes = tuple(sorted({max(1, round(share * self.concepts)) for share in self.prefixes}))
        return network
