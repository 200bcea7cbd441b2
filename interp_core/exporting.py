"""Activations as a table of `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp_core.activations import Activations
from interp_core.errors import InputError

ROWS = 4096  # written at a time


def as_dataset(activations: Activations, to: str | Path | None = None) -> Any:
    """Activations as a `datasets.Dataset`, see `Activations.to_dataset`."""
    try:
        import datasets
        from datasets.arrow_writer import ArrowWriter
    except ImportError as error:
        raise InputError("for a data set of activations, pip install datasets.") from error
    features = datasets.Features(_features(datasets, activations))
    if to is None:
        parts = [datasets.Dataset.from_dict(part, features=features) for part in _parts(activations)]
        return datasets.concatenate_datasets(parts)
    target = Path(to)
    if target.exists():
        raise InputError(f"{str(to)!r} is there already; name another file.")
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
    for values in activations.batches(ROWS):
        rows = slice(start, start + len(values))
        texts, units = activations.text_of[rows].tolist(), activations.unit_of[rows].tolist()
        held = [activations.units[t][u] for t, u in zip(texts, units, strict=True)]
        part = {
            "values": values.numpy(),
            "text": [activations.texts[t] for t in texts],
            "unit": [unit.text for unit in held],
            "start": [unit.start for unit in held],
            "stop": [unit.stop for unit in held],
            "text_of": texts,
            "unit_of": units,
        }
        for name in ("predictions", "labels"):
            column = getattr(activations, name)
            part |= {} if column is None else {name: column[activations.text_of[rows]].tolist()}
        yield part
        start += len(values)
