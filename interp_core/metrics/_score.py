"""A number with what it takes to read it."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from interp_core.display import html
from interp_core.results import MadeBy, load_json, save_json
from interp_core.statistics import interval_of_mean
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Score:
    """One number for a result, with what it takes to read it.

    Attributes:
        value: the number.
        higher_is_better: the direction; None where neither is better.
        values: one for each input and target (n); the value is the mean over inputs. None for a number of the whole.
        interval: 95 % interval of the mean over inputs (Student's t); None for fewer than five.
        chance: what a random answer gets: random orders of units, or random directions in place of concepts.
        margins: (m) for each input by how much it is better than chance on that same input; negative where worse.
        name: the metric.
        definition: the number in words, with its parameters.
    """

    SUFFIX: ClassVar[str] = ".json"
    value: float
    higher_is_better: bool | None
    values: Float[Tensor, " n"] | None = None
    interval: tuple[float, float] | None = None
    chance: float | None = None
    margins: Float[Tensor, " m"] | None = None
    name: str = ""
    definition: str = ""
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    @property
    def floor(self) -> float | None:
        """The name of `chance` in 0.1."""
        warnings.warn("Score.floor is called Score.chance; floor goes with 0.3.", DeprecationWarning, stacklevel=2)
        return self.chance

    @property
    def margin(self) -> tuple[float, float] | None:
        """95 % interval of how much better than chance it is, input by input; None for fewer than five."""
        return None if self.margins is None else interval_of_mean(self.margins)

    def __str__(self) -> str:
        direction = {True: ", higher is better", False: ", lower is better", None: ""}[self.higher_is_better]
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else ""
        chance = f" (random: {self.chance:.3f})" if self.chance is not None else ""
        return f"{self.name} {self.value:.3f}{interval}{chance}{direction}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        plain = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("values", "margins", "made_by")
        }
        return {
            **plain,
            "values": None if self.values is None else self.values.tolist(),
            "margins": None if self.margins is None else self.margins.tolist(),
            "made_by": self.made_by.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Score:
        """The value that `to_json` described."""
        values, margins = data["values"], data.get("margins")
        renamed = {"chance" if name == "floor" else name: value for name, value in data.items()}  # as 0.1 wrote it
        return cls(
            **{
                **renamed,
                "values": None if values is None else torch.tensor(values),
                "margins": None if margins is None else torch.tensor(margins),
                "interval": None if data["interval"] is None else tuple(data["interval"]),
                "notes": tuple(data["notes"]),
                "made_by": MadeBy.from_json(data["made_by"]),
            }
        )

    def save(self, path: str | Path) -> Path:
        """Write as JSON."""
        return save_json(path, "score", self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Score:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or one that holds something else.
        """
        return cls.from_json(load_json(path, "score"))

    def _repr_html_(self) -> str:
        return html(self)
