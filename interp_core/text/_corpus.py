"""A corpus: as it is given, from a file, or through `datasets` from a folder or hub id."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from io import TextIOBase
from itertools import islice
from pathlib import Path
from typing import Any, cast

from interp_core.errors import InputError


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


def batched_by_size(items: Iterator[Any], rows_of: Any, rows: int, texts: int) -> Iterator[list[Any]]:
    """Items in groups of at most so many texts, each ended by the text that brings it to so many rows."""
    while group := list(islice(items, 1)):
        total = rows_of(group[0])
        while total < rows and len(group) < texts and (more := list(islice(items, 1))):
            group += more
            total += rows_of(more[0])
        yield group
