"""The `Score` value: a number that a metric gives to a result, with its interval and chance level."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from interp_core.results import MadeBy, Usage, Value, for_json, load_json, save_json
from interp_core.statistics import interval_of_mean
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Score(Value):
    """The number that a metric gives to a result, with its confidence interval and its chance level.

    Attributes:
        value: the number; if there are `values`, their mean over inputs.
        higher_is_better: whether higher values are better; None if neither is.
        values: (n) one number for each input and target; None if only the whole was measured.
        interval: the 95 % confidence interval of the mean over inputs (Student's t); None for fewer than five inputs.
        chance: the score of a random answer: random orders of units, or random directions in place of concepts.
        margins: (m) by how much each input is better than chance on the same input; negative where it is worse.
        name: the name of the metric.
        definition: what the metric measures, in words, with its parameters.
        made_by: the metric, model, settings and cost.
        notes: what a reader should know.
        chance_error: the standard error of `chance` that is due to the draw of random orders.
        curves: for a metric that is the area under a curve, the curve (p) for each of `values`; else empty.
        usage: the calls and tokens of the language model that was asked; None if none was.
        chance_curves: for each of `curves` what random orders get, their mean (q points); empty where there are none.

    Examples:
        >>> from interp_core.metrics import Score
        >>> margins = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.4, 0.6])
        >>> score = Score(0.8, higher_is_better=True, chance=0.5, margins=margins, name="insertion")
        >>> print(score)
        insertion 0.800 (random: 0.500), higher is better
        >>> low, high = score.margin
        >>> low > 0  # better than chance on such inputs
        True
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
    chance_error: float | None = None
    curves: tuple[Float[Tensor, " p"], ...] = ()
    usage: Usage | None = None
    chance_curves: tuple[Float[Tensor, " q"], ...] = field(default=(), kw_only=True)

    @property
    def floor(self) -> float | None:
        """Deprecated name of `chance`."""
        warnings.warn("Score.floor is called Score.chance; floor goes with 0.3.", DeprecationWarning, stacklevel=2)
        return self.chance

    @property
    def margin(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean of `margins`; None without margins or with fewer than five."""
        return None if self.margins is None else interval_of_mean(self.margins)

    def one_line(self) -> str:
        """Describe the score in less than a line: name, value, interval, chance level and direction."""
        direction = {True: ", higher is better", False: ", lower is better", None: ""}[self.higher_is_better]
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else ""
        error = f" ± {self.chance_error:.3f}" if self.chance_error is not None else ""
        chance = f" (random: {self.chance:.3f}{error})" if self.chance is not None else ""
        return f"{self.name} {self.value:.3f}{interval}{chance}{direction}"

    def summary(self) -> str:
        """Describe the score: name, value, interval, chance level, direction and notes."""
        return "\n".join([self.one_line(), *self.notes])

    def __str__(self) -> str:
        return self.one_line()

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each input and target, or one row if only the whole was measured."""
        values = [self.value] if self.values is None else self.values.tolist()
        return {"metric": [self.name] * len(values), "value": values}

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; NaN and infinity become None, and a note says so."""
        plain = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("values", "margins", "made_by", "curves", "chance_curves", "usage")
        }
        curves, random = ([curve.tolist() for curve in drawn] for drawn in (self.curves, self.chance_curves))
        values = None if self.values is None else self.values.tolist()
        margins = None if self.margins is None else self.margins.tolist()
        usage = None if self.usage is None else dataclasses.asdict(self.usage)
        listed = {"values": values, "margins": margins, "curves": curves, "usage": usage}
        listed["chance_curves"] = random
        return for_json({**plain, **listed, "made_by": self.made_by.to_json()})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Score:
        """Read a score from the values of `to_json`; numbers that became None are NaN."""
        renamed = {"chance" if name == "floor" else name: value for name, value in data.items()}  # as 0.1 wrote it
        return cls(
            **{
                **renamed,
                "value": _number(data["value"]),
                "values": _numbers(data["values"]),
                "margins": _numbers(data.get("margins")),
                **{name: _curves(data.get(name, ())) for name in ("curves", "chance_curves")},
                "interval": None if data["interval"] is None else tuple(map(_number, data["interval"])),
                "notes": tuple(data["notes"]),
                "made_by": MadeBy.from_json(data["made_by"]),
                "usage": Usage(**data["usage"]) if data.get("usage") else None,
            }
        )

    def save(self, path: str | Path) -> Path:
        """Write the score to a JSON file.

        Args:
            path: the file; missing folders are created.

        Returns:
            The path of the file.
        """
        return save_json(path, "score", self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Score:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The score.

        Raises:
            InputError: there is no such file, or it does not hold a score.
        """
        return cls.from_json(load_json(path, "score"))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _numbers(values: list[float | None] | None) -> Tensor | None:
    return None if values is None else torch.tensor([_number(value) for value in values])


def _curves(listed: Sequence[Sequence[Any]]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(list(map(_number, curve))) for curve in listed)
