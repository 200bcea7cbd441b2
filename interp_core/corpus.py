"""A corpus and its labels: as they are given, from a file, or through `datasets` from a folder or hub id."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOBase
from pathlib import Path
from typing import Any, cast

import torch
from interp_core.errors import InputError
from torch import Tensor

Item = tuple[str, Any]


def read_column(source: str | Path, column: str = "text", split: str = "train") -> list[str]:
    """The values of one column.

    Args:
        source: a `.csv`, `.tsv`, `.jsonl` or `.txt` file (one text a line), plain or `.gz`; or a folder or hub id that
            `datasets.load_dataset` reads.
        column: its name; not used for `.txt`.
        split: which split of a data set.

    Raises:
        InputError: no such file or column; the message lists the columns.
    """
    path = Path(source)
    if path.is_file():
        try:
            with _opened(path) as file:
                return [_value(row, column, path, i) for i, row in enumerate(_rows(file, path), 1)]
        except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, EOFError, OSError) as error:
            raise InputError(f"{path.name} cannot be read as UTF-8 {path.suffix}: {error}") from error
    if path.suffix or (path.is_absolute() and not path.is_dir()):
        raise InputError(f"there is no file {str(source)!r}.")
    return _from_datasets(str(source), column, split)


def _opened(path: Path) -> TextIOBase:
    if path.suffix == ".gz":
        return cast(TextIOBase, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _rows(file: TextIOBase, path: Path) -> Iterator[dict[str, Any] | str]:
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind in (".csv", ".tsv"):
        yield from csv.DictReader(iter(file), delimiter="\t" if kind == ".tsv" else ",")
    elif kind == ".jsonl":
        yield from (json.loads(line) for line in file if line.strip())
    elif kind == ".txt":
        yield from (line.rstrip("\r\n") for line in file if line.strip())
    else:
        raise InputError(f"{str(path)!r} is no .csv, .tsv, .jsonl or .txt file (plain or .gz).")


def _value(row: Any, column: str, path: Path, number: int) -> str:
    if isinstance(row, str) and path.with_suffix("").suffix != ".jsonl" != path.suffix:
        return row
    if not isinstance(row, dict):
        raise InputError(f"row {number} of {path.name} is {row!r}; an object with the column {column!r} was expected.")
    if column not in row:
        raise InputError(f"{path.name} has no column {column!r}; its columns are {', '.join(map(str, row))}.")
    if row[column] is None:
        raise InputError(
            f"row {number} of {path.name} has no value in the column {column!r}; fill it or leave the row out."
        )
    return str(row[column])


def _from_datasets(source: str, column: str, split: str) -> list[str]:
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"{source!r} is no file; to read a data set by name, pip install datasets.") from error
    try:
        table: Any = datasets.load_dataset(source, split=split)
    except (OSError, ValueError) as error:
        raise InputError(f"no data set could be read from {source!r}: {str(error).splitlines()[0]}") from error
    if column not in table.column_names:
        raise InputError(f"{source!r} has no column {column!r}; its columns are {', '.join(table.column_names)}.")
    values: Iterable[Any] = table[column]
    return [str(value) for value in values]


def one_by_one(texts: Iterable[str], streams: bool) -> tuple[Iterator[str], int | None]:
    """The texts one by one, and how many there are where that is known."""
    if isinstance(texts, str):
        raise InputError("a corpus is a list of texts; one string was given. Put it into a list.")
    if isinstance(texts, dict) or hasattr(texts, "columns"):
        raise InputError(
            f"the corpus is {type(texts).__name__}; a list of texts was expected, such as one column of it."
        )
    given: Any = texts if streams and not isinstance(texts, list | tuple) else list(texts)
    if not isinstance(given, list | tuple):
        return (_sound(text, i) for i, text in enumerate(given)), len(given) if hasattr(given, "__len__") else None
    if not given:
        raise InputError("the corpus is empty; give at least one text.")
    empty = [i for i, text in enumerate(given) if not isinstance(text, str) or not text.strip()]
    if empty:
        raise InputError(
            f"{len(empty)} of {len(given)} texts are empty or no strings, the first at {empty[0]}. Leave them out."
        )
    return iter(given), len(given)


def _sound(text: Any, number: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"text {number} is empty or no string: {str(text)[:60]!r}. Leave it out.")
    return text


def with_labels(texts: Iterator[str], labels: Iterable[Any] | None, names: Sequence[str] = ()) -> Iterator[Item]:
    """Each text with its label, see `as_label`, or None.

    Raises:
        InputError: more or fewer labels than texts, or labels of different kinds.
    """
    if labels is None:
        yield from ((text, None) for text in texts)
        return
    given, first = iter(labels), None
    for number, text in enumerate(texts):
        try:
            label = as_label(next(given), names)
        except StopIteration:
            raise InputError(f"{number} labels were given, and there are more texts.") from None
        first = label if first is None else first
        if label.shape != first.shape:
            raise InputError(f"the label of text {number} is {label.tolist()}, that of the first {first.tolist()}.")
        yield text, label
    if next(given, given) is not given:
        raise InputError("more labels were given than texts.")


def as_label(given: Any, names: Sequence[str] = ()) -> Tensor:
    """The number of a class, or which classes there are (k), booleans."""
    other = f"the classes are {', '.join(names) or 'not named'}. Name those of the labels with class_names=[…]."
    if isinstance(given, str):
        if given not in names:
            raise InputError(f"the label {given!r} is no class; {other}")
        return torch.tensor(list(names).index(given))
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the label {given!r} cannot be read: {error}") from error
    if found.ndim == 0 and found.dtype != torch.bool and not found.is_floating_point() and int(found) >= 0:
        if names and int(found) >= len(names):
            raise InputError(f"the label {int(found)} is the number of no class; {other}")
        return found.long()
    if found.ndim == 1 and names and len(found) != len(names):
        raise InputError(f"a label is a row of {len(found)} booleans; {other}")
    if found.ndim == 1 and bool(((found == 0) | (found == 1)).all()):
        return found.bool()
    raise InputError(f"the label {given!r} is neither a class by name or number nor a row of booleans, one a class.")
