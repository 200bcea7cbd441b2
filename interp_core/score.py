"""A number with what it takes to read it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.intervals import interval_of_mean
from interp_core.provenance import MadeBy
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
        floor: what a random answer gets: random orders of units, or random directions in place of concepts.
        margins: (m) for each input by how much it is better than the floor on that same input; negative where worse.
        name: the metric.
        definition: the number in words, with its parameters.
    """

    value: float
    higher_is_better: bool | None
    values: Float[Tensor, " n"] | None = None
    interval: tuple[float, float] | None = None
    floor: float | None = None
    margins: Float[Tensor, " m"] | None = None
    name: str = ""
    definition: str = ""
    made_by: MadeBy = MadeBy("given")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    @property
    def margin(self) -> tuple[float, float] | None:
        """95 % interval of how much better than the floor it is, input by input; None for fewer than five."""
        return None if self.margins is None else interval_of_mean(self.margins)

    def __str__(self) -> str:
        direction = {True: ", higher is better", False: ", lower is better", None: ""}[self.higher_is_better]
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else ""
        floor = f" (random: {self.floor:.3f})" if self.floor is not None else ""
        return f"{self.name} {self.value:.3f}{interval}{floor}{direction}"

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
        return cls(
            **{
                **data,
                "values": None if values is None else torch.tensor(values),
                "margins": None if margins is None else torch.tensor(margins),
                "interval": None if data["interval"] is None else tuple(data["interval"]),
                "notes": tuple(data["notes"]),
                "made_by": MadeBy.from_json(data["made_by"]),
            }
        )

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)
