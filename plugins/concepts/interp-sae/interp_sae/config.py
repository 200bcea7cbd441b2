"""Hyperparameters that all sparse autoencoders share, and the schedules that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from interp_core.errors import InputError

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters of the training of any sparse autoencoder.

    A variant adds fields of its own, checks them in `__post_init__`, and may override two schedules: `penalty_weight`
    and `resample_at`. It derives from `Autoencoder`, which adds the network and `fit`.

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

    Raises:
        InputError: a parameter is out of its range.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "active": "k",
        "revival": "aux_coefficient",
        "warm_up": "warmup",
        "penalty_warm_up": "penalty_warmup",
    }
    """Names of release 0.1, of this class and its variants, and what they are called now."""

    TURN: ClassVar[float] = 0.1
    """The default learning rate times sqrt(width): by how much a direction turns in a step at most, in radians."""

    concepts: int = 256
    steps: int = 4000
    batch_size: int = 512
    learning_rate: float | None = None
    warmup: float = 0.05
    decay: float = 0.3
    aux_coefficient: float = 1 / 32
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
        if (self.learning_rate is not None and self.learning_rate <= 0) or self.aux_coefficient < 0:
            raise InputError(
                f"{type(self).__name__}: learning_rate={self.learning_rate} must be above 0, "
                f"aux_coefficient={self.aux_coefficient} at least 0."
            )
        if min(self.warmup, self.decay) < 0 or self.warmup + self.decay > 1:
            raise InputError(
                f"{type(self).__name__}: warmup={self.warmup} and decay={self.decay} are shares of the steps; "
                "together they may not exceed 1."
            )
        if self.dtype not in DTYPES:
            raise InputError(f"{type(self).__name__}: dtype {self.dtype!r} is not one of {', '.join(DTYPES)}.")

    def learning_rate_at(self, step: int, width: int) -> float:
        """Adam's learning rate at a step, counted from 0, for rows of a width.

        The default falls with the width because Adam moves each coordinate by about as much: a direction of length 1,
        whose coordinates are about 1 / sqrt(width), then turns by at most about `TURN` in a step, whatever the width.
        """
        highest = self.TURN / width**0.5 if self.learning_rate is None else self.learning_rate
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return highest * min(1.0, rise, fall)

    def penalty_weight(self, step: int) -> float:
        """What `Network.penalty` is multiplied by in the loss at a step, counted from 0."""
        return 0.0

    def resample_at(self, step: int) -> bool:
        """Whether dead concepts are resampled once this number of steps is done."""
        return False
