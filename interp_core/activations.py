"""Activations of a corpus: one row for each unit, with where it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from interp_core import storage
from interp_core.errors import InputError
from interp_core.provenance import MadeBy
from interp_core.text import Unit
from interp_core.wanted import class_index
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

BATCH = 8192


@dataclass(frozen=True, eq=False)
class Activations:
    """What a layer holds for each unit of each text.

    Attributes:
        values: (n, d), float32, on the CPU.
        text_of: the text of each row (n).
        unit_of: the unit of each row within its text (n).
        texts: the corpus.
        units: the units of each text.
        layer: module path the rows were read from.
        granularity: what a row stands for.
        predictions: the class the model gives to each text (m), if asked for; of a multi-label head (m, k) which.
        labels: the class each text is said to have (m), if given; or (m, k) which of k classes it has.
        class_names: the names of the classes, if the model has any.
    """

    values: Float[Tensor, "n d"]
    text_of: Int[Tensor, " n"]
    unit_of: Int[Tensor, " n"]
    texts: tuple[str, ...]
    units: tuple[tuple[Unit, ...], ...]
    layer: str
    granularity: str
    made_by: MadeBy
    predictions: Int[Tensor, " m"] | Bool[Tensor, "m k"] | None = None
    labels: Int[Tensor, " m"] | Bool[Tensor, "m k"] | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """The width d of a row."""
        return int(self.values.shape[1])

    def batches(self, rows: int = BATCH, *, generator: torch.Generator | None = None) -> Iterator[Float[Tensor, "b d"]]:
        """All rows, some at a time: what a method that learns from more rows than fit into memory goes through.

        Args:
            rows: how many at a time; the last may be fewer.
            generator: shuffles them; in their order without. Rows of a store and of memory come in the same order.
        """
        if generator is None:
            yield from (self.values[start : start + rows] for start in range(0, len(self), rows))
            return
        order = torch.randperm(len(self), generator=generator)
        yield from (self.values[part] for part in order.split(rows))

    def sample(self, rows: int, generator: torch.Generator) -> Float[Tensor, "m d"]:
        """So many rows drawn without replacement, in their order; all of them where there are no more."""
        drawn = torch.randperm(len(self), generator=generator)[:rows].sort().values
        return self.values[drawn]

    def matrix(self) -> Float[Tensor, "n d"]:
        """All rows as one tensor in memory, for methods that cannot learn from parts."""
        return self.values

    def membership(self, by: str = "labels") -> Bool[Tensor, "n k"]:
        """Which classes the text of each row has.

        Args:
            by: `"labels"` or `"predictions"`.

        Raises:
            InputError: the activations carry no such column.
        """
        column = self._column(by)
        if column.ndim == 1:
            column = one_hot(column, max(len(self.class_names), int(column.max()) + 1)).bool()
        return column[self.text_of]

    def _column(self, by: str) -> Tensor:
        column: Tensor | None = getattr(self, by, None) if by in ("predictions", "labels") else None
        if column is None:
            raise InputError(f"these activations carry no {by}; make them with split.activations(…, {by}=…).")
        return column

    def unit(self, row: SupportsIndex) -> Unit:
        """The unit a row stands for."""
        return self.units[int(self.text_of[row])][int(self.unit_of[row])]

    def rows_of(self, text: int) -> Int[Tensor, " r"]:
        """The rows of one text."""
        return (self.text_of == text).nonzero().flatten()

    def of_class(self, name: int | str, by: str = "predictions") -> Activations:
        """The part whose texts have a class.

        Args:
            name: number or name of the class.
            by: `"predictions"` or `"labels"`.

        Raises:
            InputError: the activations carry no such column, or no text has the class.
        """
        column = self._column(by)
        index = class_index(name, self.class_names or [str(i) for i in range(int(column.max()) + 1)])
        having = column[:, index] if column.ndim == 2 else column == index
        if not bool(having.any()):
            raise InputError(f"no text has the class {name!r} by {by}.")
        return self.select(having)

    def select(self, keep: Bool[Tensor, " m"]) -> Activations:
        """The part that belongs to the texts kept."""
        chosen = keep.nonzero().flatten()
        number = torch.full((len(keep),), -1).index_put_((chosen,), torch.arange(len(chosen)))
        rows = keep[self.text_of]
        return dataclasses.replace(
            self,
            values=self.values[rows],
            text_of=number[self.text_of[rows]],
            unit_of=self.unit_of[rows],
            texts=tuple(self.texts[i] for i in chosen.tolist()),
            units=tuple(self.units[i] for i in chosen.tolist()),
            predictions=None if self.predictions is None else self.predictions[keep],
            labels=None if self.labels is None else self.labels[keep],
        )

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        columns = {"values": self.values, "text_of": self.text_of, "unit_of": self.unit_of}
        columns |= {k: v for k, v in (("predictions", self.predictions), ("labels", self.labels)) if v is not None}
        data: dict[str, Any] = {
            "texts": self.texts,
            "units": [[[u.start, u.stop] for u in units] for units in self.units],
            "layer": self.layer,
            "granularity": self.granularity,
            "class_names": self.class_names,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return storage.save(path, "activations", columns, data)

    @classmethod
    def load(cls, path: str | Path) -> Activations:
        """Read what `save` wrote; the rows stay on disk until they are used."""
        tensors, data = storage.load(path, "activations")
        texts = tuple(data["texts"])
        spans = zip(texts, data["units"], strict=True)
        return cls(
            **tensors,
            texts=texts,
            units=tuple(tuple(Unit(text[a:b], a, b) for a, b in pairs) for text, pairs in spans),
            layer=data["layer"],
            granularity=data["granularity"],
            class_names=tuple(data["class_names"]),
            notes=tuple(data["notes"]),
            made_by=MadeBy.from_json(data["made_by"]),
        )


def of_rows(values: Float[Tensor, "n d"], words: Sequence[str] | None = None, **columns: Any) -> Activations:
    """Activations of rows that come from elsewhere: each row is a text of one unit."""
    texts = tuple(words) if words is not None else tuple(f"row {i}" for i in range(len(values)))
    return Activations(
        values=values.detach().float().cpu(),
        text_of=torch.arange(len(values)),
        unit_of=torch.zeros(len(values), dtype=torch.long),
        texts=texts,
        units=tuple((Unit(text, 0, len(text)),) for text in texts),
        layer="given",
        granularity="sample",
        made_by=MadeBy("given"),
        **columns,
    )
