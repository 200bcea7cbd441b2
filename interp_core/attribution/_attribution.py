"""Which words made the model answer so: the `Attribution` value and the `attribute` driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.display import html
from interp_core.model import Target
from interp_core.results import MadeBy, load_tensors, save_tensors
from interp_core.text import DividedText, Encoded, Unit
from jaxtyping import Bool, Float
from torch import Tensor

ENCODED = ("ids", "offsets", "special", "unit_of", "types")
WHOLE = ("prompt", "cut", "source", "borders", "turns")


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each unit of a text counts for each target.

    Attributes:
        text: the text, with its continuation when something generated is explained.
        units: u units.
        targets: k targets.
        scores: (k, u) signed where the method claims it; exactly zero where not applicable. In the unit of the score
            space.
        made_by: method, parameters, model and cost.
        error: (k, u) standard error, for methods that sample; zero where the answer is exact.
        applicable: (k, u) False for units that come after what is explained.
        intact: (k) the scores of the text as it is.
        score_space: `"logit"`, `"probability"` or `"log-probability"`.
        notes: what a reader should know.
        rows: how many rows of the model were evaluated for this text; what others shared or repeated is not counted.
    """

    text: str
    units: tuple[Unit, ...]
    targets: tuple[Target, ...]
    scores: Float[Tensor, "k u"]
    made_by: MadeBy
    error: Float[Tensor, "k u"] | None = None
    applicable: Bool[Tensor, "k u"] | None = None
    intact: Float[Tensor, " k"] | None = None
    score_space: str = "logit"
    notes: tuple[str, ...] = ()
    encoded: Encoded | None = None
    rows: int = 0

    @property
    def exact(self) -> bool:
        """Whether a method that samples has taken everything there was to take, so that nothing is left to chance."""
        return self.error is not None and not bool(self.error.any())

    @property
    def prompt_stop(self) -> int:
        """The character where an explained continuation begins; -1 if there is none."""
        return -1 if self.encoded is None else self.encoded.continuation

    @property
    def words(self) -> list[str]:
        """The texts of the units."""
        return [unit.text for unit in self.units]

    def top(self, target: int = 0, count: int = 5) -> list[tuple[str, float]]:
        """The applicable units that count most for a target, with their scores, by size of the score."""
        order = self.scores[target].abs().argsort(descending=True, stable=True).tolist()
        able = [i for i in order if self.applicable is None or bool(self.applicable[target, i])]
        return [(self.units[i].text, float(self.scores[target, i])) for i in able[:count]]

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file. Targets that are functions keep their label alone."""
        tensors = {"scores": self.scores, "error": self.error, "applicable": self.applicable, "intact": self.intact}
        if self.encoded is not None:
            tensors |= {name: getattr(self.encoded, name) for name in ENCODED}
        data = {
            "text": self.text,
            "units": [[u.start, u.stop, u.text] for u in self.units],
            "targets": [_plain(t) for t in self.targets],
            "score_space": self.score_space,
            "notes": self.notes,
            "rows": self.rows,
            "encoded": None if self.encoded is None else {name: getattr(self.encoded, name) for name in WHOLE},
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "attribution", {k: v for k, v in tensors.items() if v is not None}, data)

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read what `save` wrote."""
        tensors, data = load_tensors(path, "attribution")
        units = tuple(Unit(text, start, stop) for start, stop, text in data["units"])
        encoded = None
        if data["encoded"] is not None:
            whole = data["encoded"]
            whole |= {"borders": tuple(whole["borders"]), "turns": tuple((a, b) for a, b in whole["turns"])}
            fields: dict[str, Any] = {n: tensors.pop(n, None) for n in ENCODED}
            encoded = DividedText(data["text"], **fields, units=units, **whole)
        return cls(
            text=data["text"],
            units=units,
            encoded=encoded,
            targets=tuple(_target(fields) for fields in data["targets"]),
            made_by=MadeBy.from_json(data["made_by"]),
            score_space=data["score_space"],
            notes=tuple(data["notes"]),
            rows=data.get("rows", 0),
            **tensors,
        )

    def _repr_html_(self) -> str:
        return html(self)


def _plain(target: Target) -> list[Any]:
    return [target.label, target.index, target.position, target.against, [_plain(part) for part in target.parts]]


def _target(fields: Sequence[Any]) -> Target:
    label, index, position, against, parts = fields
    return Target(label, index, position, against, parts=tuple(_target(part) for part in parts))
