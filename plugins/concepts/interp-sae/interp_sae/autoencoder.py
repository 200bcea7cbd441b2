"""The concept methods that all sparse autoencoders derive from: hyperparameters, a network, and `fit`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_sae.config import TrainingConfig
from interp_sae.network import Network
from interp_sae.training import Training


@dataclass(frozen=True)
class Autoencoder(TrainingConfig):
    """A sparse autoencoder as a concept method; its hyperparameters are those of `TrainingConfig`.

    A variant is a frozen dataclass that adds its hyperparameters and overrides `network`. It derives from
    `PenalisedAutoencoder` if a penalty keeps codes few, from `KSparseAutoencoder` if their number is given.
    """

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        """The network as it is before the first step.

        Args:
            sample: (m, d) scaled rows (see `InputScaling`), at least 2.
            generator: of all random draws.
        """
        return Network(self.concepts, sample.shape[1], generator)

    def fit(self, activations: Activations) -> ConceptSpace:
        """Learn the dictionary, batch by batch.

        Returns:
            The space. Its history holds, for about a hundred steps, `loss`, the mean squared error (`mse`), the
            `explained variance`, the mean number of active concepts in a row (`l0`) and the share of `dead` concepts.

        Raises:
            InputError: all rows are equal, or the checkpoint is of another training.
        """
        return Training(self, activations, self.network).run()


@dataclass(frozen=True)
class PenalisedAutoencoder(Autoencoder):
    """A sparse autoencoder whose codes are kept few by a penalty; the network of a variant overrides `penalty`.

    Args:
        penalty: weight of `Network.penalty` in the loss, above 0.
        penalty_warmup: share of the steps, 0 to 1, over which the weight rises linearly from 0.

    Raises:
        InputError: a parameter is out of its range.
    """

    penalty: float = 0.1
    penalty_warmup: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty <= 0 or not 0 <= self.penalty_warmup <= 1:
            raise InputError(
                f"{type(self).__name__}: penalty={self.penalty} must be above 0, since nothing else keeps codes few; "
                f"penalty_warmup={self.penalty_warmup} is a share of the steps."
            )

    def penalty_weight(self, step: int) -> float:
        return self.penalty * min(1.0, (step + 1) / max(1.0, self.penalty_warmup * self.steps))


@dataclass(frozen=True)
class KSparseAutoencoder(Autoencoder):
    """A sparse autoencoder with a given number of concepts in a row; a variant passes `k_in_use` to its network.

    Args:
        k: number of concepts in a row, 1 to `concepts`; None for the square root of `concepts`, rounded.

    Raises:
        InputError: a parameter is out of its range.
    """

    k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k is not None and not 1 <= self.k <= self.concepts:
            raise InputError(
                f"{type(self).__name__}: k={self.k} of {self.concepts} concepts; 1 to {self.concepts} was expected."
            )

    @property
    def k_in_use(self) -> int:
        """`k`, or its default for this number of concepts."""
        return self.k or round(self.concepts**0.5)
