"""The matching pursuit sparse autoencoder: one concept after another, each from what the ones before have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import CountedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network, Pass
from jaxtyping import Float
from torch import Tensor


def pursue(rows: Float[Tensor, "n d"], dictionary: Float[Tensor, "c d"], steps: int) -> Float[Tensor, "n c"]:
    """Codes of rows, by taking the direction that fits best from what is left, so many times.

    A direction may be taken again; one that fits worse than not at all is not taken.
    """
    left, codes = rows, rows.new_zeros(len(rows), len(dictionary))
    for _ in range(steps):
        size, best = (left @ dictionary.T).relu().max(dim=1, keepdim=True)
        codes = codes.scatter_add(1, best, size.to(codes))
        left = left - size * dictionary[best[:, 0]]
    return codes


class MatchingPursuitSpace(ConceptSpace):
    """Codes are found greedily: the concept that fits best is taken from the row, then the one that fits best what is
    left, and so on; a row is its codes times the dictionary plus the mean.

    Args:
        dictionary: (c, d), directions of length 1.
        mean: (d), taken off before encoding and added after.
        active: how many times a concept is taken.

    Source: Mallat, Zhang 1993, IEEE Transactions on Signal Processing 41(12), with positive codes; in float64, since
    which concept fits best may jump.
    """

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"], active: int) -> None:
        super().__init__(dictionary)
        self.active = active
        self.register_buffer("mean", mean.detach().float())

    def config(self) -> dict[str, Any]:
        return {"active": self.active}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, non-negative, most of them 0."""
        return pursue(values.double() - self.mean.double(), self.dictionary.double(), self.active).float()

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean


class MatchingPursuitNetwork(Network):
    """An autoencoder without an encoder: the dictionary reads and writes."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, active: int) -> None:
        super().__init__(concepts, width, generator)
        self.active = active
        del self.encoder, self.bias

    def forward(self, rows: Float[Tensor, "b d"]) -> Pass:
        centred = rows - self.mean
        codes = pursue(centred, self.dictionary, self.active)
        return Pass(centred @ self.dictionary.T, codes, self.back(codes))

    def space(self, frame: Frame) -> ConceptSpace:
        return MatchingPursuitSpace(self.dictionary, frame.centre + self.mean / frame.scale, self.active)


@dataclass(frozen=True)
class MatchingPursuitSAE(CountedAutoencoder):
    """Learns directions of length 1 that explain rows when they are taken one after another.

    It reconstructs better than other sparse autoencoders with as many concepts a row, since what was taken is known to
    what comes next; by that it also explains, with directions that mean nothing, what superposition leaves over.
    Encoding takes `active` passes over the dictionary.

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
        active: how many times a row takes a concept; the square root of `concepts`, rounded, if None.

    Source: Costa et al. 2025, arXiv:2506.03093, section 3, with the auxiliary loss of Gao et al. 2024 for the dead.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return MatchingPursuitNetwork(self.concepts, sample.shape[1], generator, self.held)
