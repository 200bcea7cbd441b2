"""Corpora: from memory, from a file, or with `datasets` from a folder or hub id."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOBase
from itertools import islice
from pathlib import Path
from typing import Any, cast

from interp_core.errors import InputError
from interp_core.text._chat import Chat
from interp_core.text._encoder import Text, as_texts, is_chat

PARQUET = ".parquet"


def read_column(source: str | Path, column: str | Sequence[str] = "text", split: str = "train") -> list[Any]:
    r"""Read a column of a file or data set, or pairs from two columns.

    Args:
        source: a `.csv`, `.tsv`, `.jsonl` or `.txt` file (one text per line) in UTF-8, plain or `.gz`; or a `.parquet`
            file, or a folder or hub id that `datasets.load_dataset` reads, for which the package `datasets` must be
            installed.
        column: the name of the column, ignored for `.txt`; or the names of two columns, whose values are the first and
            the second text of each pair.
        split: the split of a data set; ignored for files.

    Returns:
        The values, in order, as texts that `interp.attribute` accepts: strings; from `.jsonl` files and data sets also
        pairs (lists of two strings) and chats (lists of messages). Blank lines are skipped. Classes that a data set
        stores as numbers with names are returned by name.

    Raises:
        InputError: there is no such file or column (the message lists the columns), the source cannot be read, or a
            row has no value in the column, or one that is not a text.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from interp_core.text import read_column
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "reviews.csv"
        ...     _ = table.write_text("text,label\nso good,1\nso sad,0\n", encoding="utf-8")
        ...     read_column(table), read_column(table, "label")
        (['so good', 'so sad'], ['1', '0'])
    """
    path, columns = Path(source), (column,) if isinstance(column, str) else tuple(column)
    if len(columns) not in (1, 2):
        raise InputError(f"{len(columns)} columns were named; one was expected, or two for the texts of a pair.")
    if path.is_file() and path.suffix != PARQUET:
        try:
            with _opened(path) as file:
                return [_text(row, columns, path.name, i) for i, row in enumerate(_rows(file, path), 1)]
        except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, EOFError, OSError) as error:
            raise InputError(f"{path.name} cannot be read as UTF-8 {path.suffix}: {error}") from error
    lettered = re.fullmatch(r"\.[A-Za-z]+" if "/" in str(source) else r"\.[A-Za-z]\w*", path.suffix)
    if not path.exists() and (lettered or path.is_absolute()):
        raise InputError(f"there is no file {str(source)!r}.")
    return _from_datasets(str(source), columns, split)


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
        raise InputError(f"{str(path)!r} is not a .csv, .tsv, .jsonl, .txt (plain or .gz) or .parquet file.")


def _text(row: Any, columns: Sequence[str], name: str, number: int) -> Text:
    """The text in one column of a row, or the pair in two."""
    if isinstance(row, str) and not name.removesuffix(".gz").endswith(".jsonl"):
        if len(columns) > 1:
            raise InputError(f"{name} has no columns, so it holds no pairs; two columns were named.")
        return row
    if not isinstance(row, dict):
        raise InputError(f"row {number} of {name} is {row!r}; an object with the column {columns[0]!r} was expected.")
    values = [_value(row, column, name, number) for column in columns]
    if len(values) == 1:
        return values[0]
    if not all(isinstance(value, str) for value in values):
        raise InputError(
            f"row {number} of {name} has no two strings in {' and '.join(columns)}; a pair is two strings."
        )
    return cast(Text, tuple(values))


def _value(row: dict[Any, Any], column: str, name: str, number: int) -> Text:
    if None in row:  # csv keeps there what is beyond the last column
        raise InputError(
            f"row {number} of {name} has more values than there are columns: {str(row[None])[:60]}. Put a text "
            "that holds the separator into quotes."
        )
    if column not in row:
        raise InputError(f"{name} has no column {column!r}; its columns are {', '.join(map(str, row))}.")
    value = row[column]
    if value is None:
        raise InputError(f"row {number} of {name} has no value in the column {column!r}; fill it or leave the row out.")
    if not isinstance(value, list | tuple | dict):
        return str(value)
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return (value[0], value[1])
    if (
        isinstance(value, list)
        and value
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    ):
        return value
    raise InputError(
        f"row {number} of {name} has {str(value)[:60]} in the column {column!r}; a string, a list of two strings "
        "(a pair) or a list of messages with role and content (a chat) was expected."
    )


def _from_datasets(source: str, columns: Sequence[str], split: str) -> list[Any]:
    try:
        import datasets
    except ImportError as error:
        found = "" if Path(source).exists() else " is not a file, and a data set"
        raise InputError(f"{source!r}{found} is read by the package datasets: pip install datasets.") from error
    try:
        with _silent(datasets):
            if Path(source).is_file():  # as it is: elsewhere its name would be a pattern, and it be kept twice
                from pyarrow.parquet import read_table  # comes with datasets

                table: Any = datasets.Dataset(read_table(source))
            else:
                table = datasets.load_dataset(source, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = error.__cause__ or error  # of a file that is damaged, what pyarrow says
        raise InputError(f"no data set could be read from {source!r}: {str(reason).splitlines()[0]}") from error
    for column in columns:
        if column not in table.column_names:
            raise InputError(f"{source!r} has no column {column!r}; its columns are {', '.join(table.column_names)}.")
    rows = zip(*(_named(table, column) for column in columns), strict=True)
    return [_text(dict(zip(columns, row, strict=True)), columns, source, i) for i, row in enumerate(rows, 1)]


def _named(table: Any, column: str) -> Iterator[Any]:
    """The values of a column, classes by their names. A class of -1 is none."""
    names = getattr(table.features[column], "names", None)
    if names is None:
        return iter(table[column])
    return (None if value is None or value < 0 else names[value] for value in table[column])


@contextmanager
def _silent(datasets: Any) -> Iterator[None]:
    """A context in which the package shows no progress, which it does also where nobody watches, and logs nothing."""
    shown, level = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()


def one_by_one(texts: Text | Iterable[Text], streams: bool) -> tuple[Iterator[Text], int | None]:
    """Iterate over the texts of a corpus, and count them.

    Args:
        texts: the corpus: strings, pairs of strings and chats. A single chat is a corpus of one text.
        streams: whether an iterable that is neither a list nor a tuple is read only as far as the iterator advances.
            Otherwise all of it is read at once.

    Returns:
        An iterator over the texts, and their number, or None for a stream without a length.

    Raises:
        InputError: `texts` is a single string or a table, the list is empty, or a text is empty or not a string, a pair
            or a chat. In a stream, a text is checked when the iterator reaches it.

    Examples:
        >>> from interp_core.text import one_by_one
        >>> corpus, total = one_by_one(["so happy", "so sad"], streams=True)
        >>> list(corpus), total
        (['so happy', 'so sad'], 2)
        >>> stream, total = one_by_one((f"text {i}" for i in range(10**9)), streams=True)
        >>> next(stream), total
        ('text 0', None)
    """
    if isinstance(texts, str):
        raise InputError("a corpus is a list of texts; one string was given. Put it into a list.")
    if isinstance(texts, dict) or hasattr(texts, "columns"):
        raise InputError(
            f"the corpus is {type(texts).__name__}; a list of texts was expected, such as one column of it."
        )
    if is_chat(texts):
        return iter([cast(Text, texts)]), 1
    several = cast(Iterable[Any], texts)
    corpus: Any = texts if streams and not isinstance(texts, list | tuple) else list(several)
    if not isinstance(corpus, list | tuple):
        return _checked(corpus), len(corpus) if hasattr(corpus, "__len__") else None
    if not corpus:
        raise InputError("the corpus is empty; give at least one text.")
    wrong = [i for i, text in enumerate(corpus) if not _is_text(text)]
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(corpus)} texts are empty, or neither strings nor pairs nor chats, the first at "
            f"{wrong[0]}. Leave them out."
        )
    return iter(corpus), len(corpus)


def as_stream(texts: Any) -> tuple[Iterable[Text], int | None]:
    """Convert one text or several to a stream, without reading iterators and columns of data sets.

    Args:
        texts: one text or several, as in `as_texts`.

    Returns:
        The texts, and their number, or None if it is not known.

    Raises:
        InputError: `texts` is not accepted by `as_texts`.

    Examples:
        >>> from interp_core.text import as_stream
        >>> stream, total = as_stream(f"text {i}" for i in range(10**9))
        >>> next(iter(stream)), total
        ('text 0', None)
    """
    if hasattr(texts, "column_names"):
        raise InputError(
            f"the texts are a data set with the columns {', '.join(map(str, texts.column_names))}; give one of them."
        )
    several = isinstance(texts, Iterable) and not isinstance(texts, str | list | tuple | Mapping | Chat)
    if not several or hasattr(texts, "columns"):
        texts = as_texts(texts)
    return texts, len(texts) if hasattr(texts, "__len__") else None


def _checked(corpus: Iterable[Any]) -> Iterator[Text]:
    """The texts of a stream, each checked when it is reached.

    Raises:
        InputError: the stream is empty, or a text of it cannot be used.
    """
    number = -1
    for number, text in enumerate(corpus):
        if not _is_text(text):
            raise InputError(
                f"text {number} is empty, or neither a string nor a pair nor a chat: {str(text)[:60]!r}. Leave it out."
            )
        yield text
    if number < 0:
        raise InputError("the corpus is empty; give at least one text.")


def _is_text(text: Any) -> bool:
    """Whether this is a string, a pair or a chat that is not empty; messages are looked at when they are encoded."""
    if isinstance(text, str):
        return bool(text.strip())
    pair = isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) and part.strip() for part in text)
    return pair or is_chat(text)


def batched_by_size(items: Iterator[Any], rows_of: Any, rows: int, texts: int) -> Iterator[list[Any]]:
    """Group items, one for each text, into groups of bounded size.

    Args:
        items: the items.
        rows_of: a function from an item to its number of rows.
        rows: a group ends with the item that brings it to this many rows, so it may hold more.
        texts: the maximum number of items in a group.

    Yields:
        The groups, in order. Each holds at least one item.

    Examples:
        >>> from interp_core.text import batched_by_size
        >>> list(batched_by_size(iter([3, 3, 3, 9, 1]), lambda item: item, rows=5, texts=4))
        [[3, 3], [3, 9], [1]]
    """
    while group := list(islice(items, 1)):
        total = rows_of(group[0])
        while total < rows and len(group) < texts and (more := list(islice(items, 1))):
            group += more
            total += rows_of(more[0])
        yield group
