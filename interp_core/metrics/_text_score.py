"""The options of `measure` for attributions, and the score that a metric gives to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from interp_core.attribution import Removal
from interp_core.results import State
from torch import Tensor


@dataclass(frozen=True)
class Choices:
    """What a caller of `measure` chooses for attributions.

    Attributes:
        score: the score space; None for that of the metric.
        removal: what an absent unit is; None as the attributions were made.
        max_rows: the most rows of one text; `"as before"` as the attributions were made.
        progress: show a progress bar.
    """

    score: str | None = None
    removal: Removal | None = None
    max_rows: int | Literal["as before"] | None = "as before"
    progress: bool = True


@dataclass(frozen=True, eq=False)
class TextScore:
    """What a metric says of one attribution.

    Attributes:
        values: its numbers (m).
        random: what random scores get on the same text (draws).
        definition: the number in words.
        notes: what a reader should know.
        curves: what the numbers are the areas of.
        random_curves: for each curve what random scores get, their mean.
    """

    values: Tensor
    random: Tensor
    definition: str
    notes: tuple[str, ...]
    curves: tuple[Tensor, ...]
    random_curves: tuple[Tensor, ...] = ()

    def state(self) -> State:
        """As tensors and JSON values."""
        drawn = {"curve": self.curves, "random curve": self.random_curves}
        curves = {f"{name} {i}": curve for name, several in drawn.items() for i, curve in enumerate(several)}
        said = {"definition": self.definition, "notes": list(self.notes)}
        return {"values": self.values, "random": self.random, **curves}, said

    @classmethod
    def of_state(cls, state: State) -> TextScore:
        """The score with this state."""
        tensors, said = state
        curves, random = (
            tuple(tensors[f"{name} {i}"] for i in range(len(tensors)) if f"{name} {i}" in tensors)
            for name in ("curve", "random curve")
        )
        return cls(tensors["values"], tensors["random"], said["definition"], tuple(said["notes"]), curves, random)
