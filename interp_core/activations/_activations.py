"""The `Activations` value: one row for each unit of a corpus, with the text and unit that it stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from interp_core.activations._shards import Shards, StoredRows, cut_notes, only, texts_of, units_of
from interp_core.errors import InputError
from interp_core.results import MadeBy, Value, counted, for_json, load_tensors, read_manifest, reading, save_tensors
from interp_core.text import Unit, class_index, joined_parts, with_parts
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

BATCH = 8192
MIXED = 2**25  # how many numbers are held in memory while rows are shuffled
TABLE_ROWS = 4096  # rows of a `datasets.Dataset` that are written at a time


@dataclass(frozen=True, eq=False, repr=False)
class Activations(Value):
    """The activations of a layer for each unit of each text, in memory or in a store on disk.

    Methods read the rows with `batches`, `sample` or `matrix`, which work for both.

    Attributes:
        values: (n, d) float32 on the CPU. The rows of a store are read from disk when they are indexed.
        text_of: (n) the index of the text of each row, ascending.
        unit_of: (n) the index of the unit of each row within its text.
        texts: the m texts of the corpus; a pair or a chat is a `JoinedText`, as a reader sees it.
        units: the units of each text.
        layer: the module path of the layer; `"given"` for rows from elsewhere.
        granularity: the units that rows stand for, such as `"word"`.
        made_by: the model, settings, versions and cost.
        predictions: (m) the predicted class of each text; (m, k) booleans for a multi-label head; None if not kept.
        labels: (m) the labelled class of each text; (m, k) booleans where a text may have several classes; or None.
        class_names: the names of the k classes; empty if they have none.
        notes: what a reader should know.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> split, texts = tiny_classifier().split(-1), ["so happy", "a sad dog"]
        >>> activations = split.activations(texts, granularity="word", labels=[0, 2], progress=False)
        >>> activations.values.shape
        torch.Size([5, 16])
        >>> activations.unit(3)
        Unit(text='sad', start=2, stop=5)
        >>> activations.of_class(2, by="labels").texts
        ('a sad dog',)
    """

    values: Float[Tensor, "n d"] | StoredRows
    text_of: Int[Tensor, " n"]
    unit_of: Int[Tensor, " n"]
    texts: Sequence[str]
    units: Sequence[tuple[Unit, ...]]
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
        """Iterate over all rows in batches, for methods that learn from more rows than fit into memory.

        Args:
            rows: the number b of rows in a batch; the last batch may be smaller.
            generator: on the CPU, to shuffle the rows: chunks of neighbouring rows are read in random order and several
                are mixed at a time, so that a store is read almost sequentially. None keeps the order.

        Yields:
            (b, d) the rows of a batch.
        """
        if generator is None:
            yield from (self.values[start : start + rows] for start in range(0, len(self), rows))
            return
        rest = torch.empty(0, self.width)
        order = torch.randperm(-(-len(self) // BATCH), generator=generator)
        for chunks in order.split(max(1, min(16, MIXED // (BATCH * self.width)))):
            pool = torch.cat([rest, *(self.values[c * BATCH : (c + 1) * BATCH] for c in chunks.tolist())])
            mixed = torch.randperm(len(pool), generator=generator).split(rows)
            whole = [part for part in mixed if len(part) == rows]
            yield from (pool[part] for part in whole)
            rest = pool[mixed[-1]] if len(mixed) > len(whole) else torch.empty(0, self.width)
        if len(rest):
            yield rest

    def sample(self, rows: int, generator: torch.Generator) -> Float[Tensor, "m d"]:
        """Draw m = `rows` rows (m, d) without replacement, in corpus order; all rows if there are fewer."""
        drawn = torch.randperm(len(self), generator=generator)[:rows].sort().values
        return self.values[drawn]

    def matrix(self) -> Float[Tensor, "n d"]:
        """Read all rows (n, d) into one tensor in memory."""
        return self.values[:]

    def membership(self, by: str = "labels") -> Bool[Tensor, "n k"]:
        """Mark the classes of the text of each row: booleans (n, k).

        Args:
            by: `"labels"` or `"predictions"`.

        Raises:
            InputError: `by` is neither of the two, or the activations have no such column.
        """
        column = self._column(by)
        if column.ndim == 1:
            column = one_hot(column, max(len(self.class_names), int(column.max()) + 1)).bool()
        return column[self.text_of]

    def _column(self, by: str) -> Tensor:
        if by not in ("predictions", "labels"):
            raise InputError(f"by is {by!r}; 'labels' or 'predictions' was expected.")
        column: Tensor | None = getattr(self, by)
        if column is None:
            raise InputError(f"these activations carry no {by}; make them with split.activations(…, {by}=…).")
        return column

    def unit(self, row: SupportsIndex) -> Unit:
        """Find the unit that a row stands for.

        Raises:
            InputError: there is no such row.
        """
        if not -len(self) <= row.__index__() < len(self):
            raise InputError(f"there is no row {row}; these activations have {len(self)}.")
        return self.units[int(self.text_of[row])][int(self.unit_of[row])]

    def rows_of(self, text: int) -> Int[Tensor, " r"]:
        """Find the indices (r) of the rows of one text, given by its number.

        Raises:
            InputError: there is no such text.
        """
        if not 0 <= text < len(self.texts):
            raise InputError(f"there is no text {text}; these activations are of {len(self.texts)} texts, from 0.")
        first, after = torch.searchsorted(self.text_of, torch.tensor([text, text + 1])).tolist()
        return torch.arange(first, after)

    def of_class(self, name: int | str, by: str = "predictions") -> Activations:
        """Select the texts that have a class, which the provenance of the result names.

        Args:
            name: the name or number of the class.
            by: `"predictions"` or `"labels"`.

        Raises:
            InputError: `by` is neither of the two, the activations have no such column, or no text has the class.
            TargetError: no class has this name or number.
        """
        column = self._column(by)
        count = column.shape[1] if column.ndim == 2 else int(column.max()) + 1
        index = class_index(name, self.class_names or [str(i) for i in range(count)])
        having = column[:, index] if column.ndim == 2 else column == index
        if not bool(having.any()):
            raise InputError(f"no text has the class {name!r} by {by}.")
        of = self.class_names[index] if self.class_names else str(index)
        made = dataclasses.replace(self.made_by, settings={**self.made_by.settings, "class": of})
        return dataclasses.replace(self.select(having), made_by=made)

    def select(self, keep: Bool[Tensor, " m"]) -> Activations:
        """Select the texts for which `keep` (m) is True; the rows of a store stay on disk.

        Raises:
            InputError: `keep` does not hold one boolean for each text.
        """
        if not isinstance(keep, Tensor) or keep.dtype != torch.bool or keep.shape != (len(self.texts),):
            raise InputError(
                f"{keep!r} was given to choose among {len(self.texts)} texts; a tensor of one boolean for each was "
                "expected, such as activations.labels == 2."
            )
        chosen = keep.nonzero().flatten()
        number = torch.full((len(keep),), -1).index_put_((chosen,), torch.arange(len(chosen)))
        rows = keep[self.text_of]
        return dataclasses.replace(
            self,
            values=self.values.only(rows) if isinstance(self.values, StoredRows) else self.values[rows],
            text_of=number[self.text_of[rows]],
            unit_of=self.unit_of[rows],
            texts=only(self.texts, chosen.tolist()),
            units=only(self.units, chosen.tolist()),
            predictions=None if self.predictions is None else self.predictions[keep],
            labels=None if self.labels is None else self.labels[keep],
        )

    def one_line(self) -> str:
        """Describe the activations in less than a line, as their `repr` does."""
        texts = f"{self.granularity!r} of {counted(len(self.texts), 'text')}"
        model = f" of {self.made_by.model}" if self.made_by.model else ""
        return f"{counted(len(self), 'row')} of width {self.width}, {texts} at {self.layer!r}{model}"

    def summary(self) -> str:
        """Describe the activations: a line for the whole, the counts of labels and predictions, and the notes."""
        lines = [self.one_line()]
        for by in ("labels", "predictions"):
            column = getattr(self, by)
            if column is not None:
                count = column.sum(0) if column.ndim == 2 else torch.bincount(column, minlength=len(self.class_names))
                names = self.class_names or [f"class {i}" for i in range(len(count))]
                lines.append(
                    f"{by}: {', '.join(f'{name} {n}' for name, n in zip(names, count.tolist(), strict=False))}"
                )
        if self.labels is not None and self.predictions is not None and self.labels.shape == self.predictions.shape:
            same = self.labels == self.predictions
            lines.append(f"{int((same if same.ndim == 1 else same.all(1)).sum())} of {len(self.texts)} right")
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; all rows are read into memory."""
        columns = {name: getattr(self, name) for name in ("text_of", "unit_of", "predictions", "labels")}
        data = {
            "layer": self.layer,
            "granularity": self.granularity,
            "texts": [str(text) for text in self.texts],
            "units": [[[u.text, u.start, u.stop] for u in units] for units in self.units],
            "values": self.matrix().tolist(),
            **{name: None if column is None else column.tolist() for name, column in columns.items()},
            "class_names": self.class_names,
        }
        return for_json({**data, "notes": list(self.notes), "made_by": self.made_by.to_json()})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of a table with one row for each unit and its d values; all rows are read into memory."""
        units = [self.unit(row) for row in range(len(self))]
        return {
            "text": self.text_of.tolist(),
            "unit": [unit.text for unit in units],
            "start": [unit.start for unit in units],
            "stop": [unit.stop for unit in units],
            **{f"dimension {i}": column for i, column in enumerate(self.matrix().T.tolist())},
        }

    def to_dataset(self, to: str | Path | None = None) -> Any:
        """Convert to a `datasets.Dataset` with one row for each unit.

        Args:
            to: an Arrow file to write; the data set is then mapped from disk. None builds it in memory.

        Returns:
            The data set, with the columns `values`, `text`, `unit`, `start`, `stop`, `text_of`, `unit_of`, and
            `predictions` and `labels` if there are any.

        Raises:
            InputError: the file exists, or `datasets` is not installed.
        """
        return _as_dataset(self, to)

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file and return its path; the rows of a store are read into memory first.

        Raises:
            InputError: the name of the file does not end in `.safetensors`.
        """
        columns = {"values": self.matrix(), "text_of": self.text_of, "unit_of": self.unit_of}
        columns |= {k: v for k, v in (("predictions", self.predictions), ("labels", self.labels)) if v is not None}
        data: dict[str, Any] = {
            "texts": list(self.texts),
            "parts": joined_parts(self.texts),
            "units": [[[u.start, u.stop] for u in units] for units in self.units],
            "layer": self.layer,
            "granularity": self.granularity,
            "class_names": self.class_names,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return save_tensors(path, "activations", columns, data)

    @classmethod
    def load(cls, path: str | Path) -> Activations:
        """Open a file that `save` wrote, or the folder of a store; rows stay on disk until they are used.

        Raises:
            InputError: the path holds neither, or the store is damaged or incomplete.
        """
        if Path(path).is_dir():
            with reading(path):
                return _opened(Path(path))
        tensors, data = load_tensors(path, "activations")
        texts = tuple(with_parts(data["texts"], data.get("parts", {})))
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


def _opened(folder: Path) -> Activations:
    manifest = read_manifest(folder, "store")
    if not manifest["complete"]:
        raise InputError(
            f"the store {str(folder)!r} is not complete: its run was interrupted. Repeat the same call of "
            "split.activations(…) to resume it."
        )
    shards = Shards(folder, manifest["shards"])
    records = [shards.record(i) for i in range(manifest["shards"])]
    cost = {name: sum(record["cost"][name] for record in records) for name in records[0]["cost"]}
    cut = sum(record["cut"] for record in records)
    rows: Any = {name: shards.column(name) for name in ("text_of", "unit_of")}
    return Activations(
        **rows,
        values=StoredRows(shards),
        texts=texts_of(shards),
        units=units_of(shards),
        layer=manifest["layer"],
        granularity=manifest["granularity"],
        made_by=MadeBy.from_json({**manifest["made_by"], "cost": cost}),
        predictions=shards.column("predictions"),
        labels=shards.column("labels"),
        class_names=tuple(manifest["class_names"]),
        notes=cut_notes(cut, manifest["texts"], manifest["max_tokens"]),
    )


def _as_dataset(activations: Activations, to: str | Path | None = None) -> Any:
    """Activations as a `datasets.Dataset`, see `Activations.to_dataset`."""
    try:
        import datasets
        from datasets.arrow_writer import ArrowWriter
    except ImportError as error:
        raise InputError("to_dataset needs the package datasets: pip install datasets.") from error
    features = datasets.Features(_features(datasets, activations))
    if to is None:
        parts = [datasets.Dataset.from_dict(part, features=features) for part in _parts(activations)]
        return datasets.concatenate_datasets(parts)
    target = Path(to)
    if target.exists():
        raise InputError(f"{str(to)!r} is there already; choose another file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    with ArrowWriter(path=str(partial), features=features) as writer:
        for part in _parts(activations):
            writer.write_batch(part)
        writer.finalize()
    return datasets.Dataset.from_file(str(partial.replace(target)))


def _features(datasets: Any, activations: Activations) -> dict[str, Any]:
    value, names = datasets.Value, list(activations.class_names)
    columns = {
        "values": datasets.Sequence(value("float32"), length=activations.width),
        "text": value("string"),
        "unit": value("string"),
        "start": value("int64"),
        "stop": value("int64"),
        "text_of": value("int64"),
        "unit_of": value("int64"),
    }
    for name in ("predictions", "labels"):
        column = getattr(activations, name)
        if column is None:
            continue
        known = names and (column.ndim == 2 or int(column.max()) < len(names))
        single = datasets.ClassLabel(names=names) if known else value("int64")
        columns[name] = single if column.ndim == 1 else datasets.Sequence(value("bool"), length=column.shape[1])
    return columns


def _parts(activations: Activations) -> Iterator[dict[str, Any]]:
    start = 0
    for values in activations.batches(TABLE_ROWS):
        rows = slice(start, start + len(values))
        texts, units = activations.text_of[rows].tolist(), activations.unit_of[rows].tolist()
        row_units = [activations.units[t][u] for t, u in zip(texts, units, strict=True)]
        part = {
            "values": values.numpy(),
            "text": [activations.texts[t] for t in texts],
            "unit": [unit.text for unit in row_units],
            "start": [unit.start for unit in row_units],
            "stop": [unit.stop for unit in row_units],
            "text_of": texts,
            "unit_of": units,
        }
        for name in ("predictions", "labels"):
            column = getattr(activations, name)
            part |= {} if column is None else {name: column[activations.text_of[rows]].tolist()}
        yield part
        start += len(values)
