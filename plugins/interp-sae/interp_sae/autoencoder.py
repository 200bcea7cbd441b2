"""What all sparse autoencoders share: hyperparameters of training, and `fit`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_sae.network import Network
from interp_sae.training import Run

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Autoencoder:
    """Hyperparameters of the training of any sparse autoencoder; a variant adds its own and says what it trains.

    Args:
        concepts: how many directions.
        steps: batches that are learnt from; as many passes over the activations as that takes.
        batch_size: rows of a batch.
        learning_rate: how far a direction may turn in a step, about, in radians: Adam's rate is it over sqrt(width) for
            directions. It is Adam's rate for biases and thresholds, where a typical coordinate of a row is 1.
        warm_up: share of the steps over which the learning rate rises from 0.
        decay: share of the steps over which it falls to 0 in the end.
        revival: weight of the loss by which dead concepts learn what the others leave over; 0 lets them be dead.
        patience: a concept is dead when no row of so many steps has it.
        seed: of the directions to start from, and the order of the rows.
        device: where to compute; the space is always on the CPU.
        dtype: of matrix products while training: float32 or bfloat16. Weights and the space are float32.
        checkpoint: folder that the state of the training is kept in; a training that finds one there goes on from it,
            to the same weights to the last bit as if it had not been stopped.
        save_every: steps between checkpoints.
    """

    concepts: int = 256
    steps: int = 4000
    batch_size: int = 512
    learning_rate: float = 0.03
    warm_up: float = 0.05
    decay: float = 0.3
    revival: float = 1 / 32
    patience: int = 100
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    checkpoint: str | None = None
    save_every: int = 1000

    def __post_init__(self) -> None:
        counts = ("concepts", "steps", "batch_size", "patience", "save_every")
        low = [f"{name}={getattr(self, name)}" for name in counts if getattr(self, name) < 1]
        if low:
            raise InputError(f"{type(self).__name__}: {', '.join(low)}; at least 1 was expected.")
        if self.learning_rate <= 0 or self.revival < 0:
            raise InputError(
                f"{type(self).__name__}: learning_rate={self.learning_rate} must be above 0, "
                f"revival={self.revival} at least 0."
            )
        if min(self.warm_up, self.decay) < 0 or self.warm_up + self.decay > 1:
            raise InputError(
                f"{type(self).__name__}: warm_up={self.warm_up} and decay={self.decay} are shares of the steps; "
                "together they may not pass 1."
            )
        if self.dtype not in DTYPES:
            raise InputError(f"{type(self).__name__}: dtype {self.dtype!r} is not one of {', '.join(DTYPES)}.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        """What is trained, as it is before the first step; a sample of the rows is in the units of the training."""
        return Network(self.concepts, sample.shape[1], generator)

    def weight(self, step: int) -> float:
        """What the penalty counts at a step."""
        return 0.0

    def anew(self, step: int) -> bool:
        """Whether dead concepts start anew after a step."""
        return False

    def fit(self, activations: Activations) -> ConceptSpace:
        """Learn the dictionary, a batch at a time.

        Returns:
            The space; its `history` holds the loss, the squared error, the share of variance explained, the number of
            active concepts of a row and the share of dead concepts, each of some hundred steps.

        Raises:
            InputError: all rows are equal, or the checkpoint is of another training.
        """
        return Run(self, activations).to_the_end()


@dataclass(frozen=True)
class PenalisedAutoencoder(Autoencoder):
    """One whose codes are few because they cost something.

    Args:
        penalty: what codes cost.
        penalty_warm_up: share of the steps over which the penalty rises from 0.
    """

    penalty: float = 0.1
    penalty_warm_up: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty <= 0 or not 0 <= self.penalty_warm_up <= 1:
            raise InputError(
                f"{type(self).__name__}: penalty={self.penalty} must be above 0, since nothing else keeps codes few; "
                f"penalty_warm_up={self.penalty_warm_up} is a share of the steps."
            )

    def weight(self, step: int) -> float:
        """The penalty, risen so far."""
        return self.penalty * min(1.0, (step + 1) / max(1.0, self.penalty_warm_up * self.steps))


@dataclass(frozen=True)
class CountedAutoencoder(Autoencoder):
    """One that is told how many concepts a row holds.

    Args:
        active: how many concepts a row holds; the square root of `concepts`, rounded, if None.
    """

    active: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.active is not None and not 1 <= self.active <= self.concepts:
            raise InputError(
                f"{type(self).__name__}: active={self.active} of {self.concepts} concepts; 1 to {self.concepts} "
                "was expected."
            )

    @property
    def held(self) -> int:
        """How many concepts a row holds."""
        return self.active or round(self.concepts**0.5)
