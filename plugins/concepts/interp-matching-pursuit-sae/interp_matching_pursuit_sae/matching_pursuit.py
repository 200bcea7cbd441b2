"""The matching pursuit sparse autoencoder: one concept after another, each from the residual of those before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import KSparseAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor


def pursue(rows: Float[Tensor, "n d"], dictionary: Float[Tensor, "c d"], steps: int) -> Float[Tensor, "n c"]:
    """Codes of rows by greedy steps, each of which takes the direction that fits the residual best.

    A direction may be taken again; where all have a negative product with the residual, none is taken.

    Args:
        rows: (n, d).
        dictionary: (c, d), rows of length 1.
        steps: how many.
    """
    residual, codes = rows, rows.new_zeros(len(rows), len(dictionary))
    for _ in range(steps):
        size, best = (residual @ dictionary.T).relu().max(dim=1, keepdim=True)
        codes = codes.scatter_add(1, best, size.to(codes))
        residual = residual - size * dictionary[best[:, 0]]
    return codes


class MatchingPursuitSpace(ConceptSpace):
    """Greedy codes: the concept that fits a row best is subtracted, then the one that fits the rest best, and so on.

    A reconstruction is `codes @ dictionary + mean`. Codes are computed in float64, since rounding could change which
    concept fits best.

    Args:
        dictionary: (c, d) directions of length 1.
        mean: (d) subtracted before encoding and added back after.
        k: number of greedy steps for each row, hence the maximum number of its codes; at least 1.
        active: the name of `k` in files of release 0.1.

    Source:
        Mallat, Zhang 1993, IEEE Transactions on Signal Processing 41(12), with positive codes.
    """

    mean: Tensor

    def __init__(
        self,
        dictionary: Float[Tensor, "c d"],
        mean: Float[Tensor, " d"],
        k: int | None = None,
        *,
        active: int | None = None,
    ) -> None:
        super().__init__(dictionary)
        steps = active if k is None else k
        if steps is None or steps < 1:
            raise InputError(f"k={steps}; the number of greedy steps is needed, at least 1.")
        self.k = steps
        self.register_buffer("mean", mean.detach().float())

    def config(self) -> dict[str, Any]:
        return {"k": self.k}

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes of each row, non-negative, most of them 0."""
        return pursue(values.double() - self.mean.double(), self.dictionary.double(), self.k).float()

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean


class MatchingPursuitNetwork(Network):
    """An autoencoder without an encoder: the dictionary reads and writes."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, k: int) -> None:
        super().__init__(concepts, width, generator)
        self.k = k
        del self.encoder, self.bias

    def forward(self, rows: Float[Tensor, "b d"]) -> ForwardPass:
        centred = rows - self.mean
        codes = pursue(centred, self.dictionary, self.k)
        return ForwardPass(centred @ self.dictionary.T, codes, self.decode(codes))

    def space(self, scaling: InputScaling) -> ConceptSpace:
        return MatchingPursuitSpace(self.dictionary, scaling.centre + self.mean / scaling.scale, self.k)


@dataclass(frozen=True)
class MatchingPursuitSAE(KSparseAutoencoder):
    """Matching pursuit sparse autoencoder: concepts are taken from a row one after the other, each from the residual.

    Directions have length 1. Each of k greedy steps adds the concept that explains most of what is left. It
    reconstructs better than other sparse autoencoders with as many concepts in a row, since each step knows the
    residual of the steps before; some directions may be meaningless and explain only what superposition leaves over.
    Encoding takes k passes over the dictionary.

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
        k: number of greedy steps for each row, 1 to `concepts`; None for the square root of `concepts`, rounded.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="matching-pursuit-sae", concepts=5, k=1, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Costa et al. 2025, arXiv:2506.03093, section 3, with the auxiliary loss of Gao et al. 2024 for dead concepts.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return MatchingPursuitNetwork(self.concepts, sample.shape[1], generator, self.k_in_use)
