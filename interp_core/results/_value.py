"""What every result can do: show itself in a terminal, a notebook, a table and a figure, and be JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interp_core.display import figure, html
from interp_core.errors import InputError
from interp_core.results._serialization import write_text

LONGEST = 200  # characters of a `repr`


class Value:
    """What every result can do. A subclass says what it holds; how that is shown is the same for all.

    A subclass has a `summary`, `to_json`, the `columns` of a table, and `one_line` for its `repr`.

    Examples:
        >>> from interp_core.metrics import Score
        >>> score = Score(0.8, higher_is_better=True, name="insertion")
        >>> score
        Score(insertion 0.800, higher is better)
        >>> score.to_json()["value"]
        0.8
    """

    def one_line(self) -> str:
        """What the value holds, in less than a line."""
        raise NotImplementedError

    def summary(self) -> str:
        """The value in a few lines of plain text."""
        return repr(self)

    def to_json(self) -> dict[str, Any]:
        """The value as JSON values that every reader of JSON takes: NaN and infinity are None, and a note says so."""
        raise NotImplementedError

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of `to_dataframe`, by name; all of the same length."""
        raise NotImplementedError

    def to_dataframe(self) -> Any:
        """The value as a pandas data frame: scores in long form, rows and directions with a column for each dimension.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_dataframe needs the package pandas: pip install pandas.") from error
        return pandas.DataFrame(dict(self.columns()))

    def to_csv(self, path: str | Path | None = None) -> str:
        """The columns of `to_dataframe` as CSV, without pandas.

        Args:
            path: a file that it is also written to; missing folders are created.

        Returns:
            The text; what is None is empty in it.
        """
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        columns = self.columns()
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
        if path is not None:
            write_text(path, out.getvalue())
        return out.getvalue()

    def plot(self, **options: Any) -> Any:
        """The value as a matplotlib figure, for a paper; notebooks display it, and `savefig` writes it.

        Args:
            **options: what can be chosen for this kind of value.

        Raises:
            InputError: matplotlib is not installed, this kind of value has no figure, or an option is unknown.
        """
        try:
            return figure(self, **options)
        except NotImplementedError as error:
            raise InputError(f"{type(self).__name__} has no figure; try to_dataframe().") from error

    def __repr__(self) -> str:
        line = f"{type(self).__name__}({' '.join(self.one_line().split())})"
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]}…)"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return html(self)


def quoted(names: Sequence[str], most: int = 3, length: int = 30) -> str:
    """Some names in a line: `'joy', 'anger', 'fear' and 3 more`.

    Args:
        names: the names.
        most: how many are said.
        length: the most characters of one.

    Returns:
        The names in quotation marks; those that are too long are cut.

    Examples:
        >>> from interp_core.results import quoted
        >>> quoted(["joy", "anger", "fear"], most=2)
        "'joy', 'anger' and 1 more"
    """
    said = [repr(name if len(name) <= length else f"{name[: length - 1]}…") for name in names[:most]]
    return ", ".join(said) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, noun: str) -> str:
    """A number of things in words.

    Args:
        count: how many.
        noun: what they are called, in the singular.

    Returns:
        The number with the noun, in the plural where there are several.

    Examples:
        >>> from interp_core.results import counted
        >>> counted(1, "text"), counted(2000, "text")
        ('1 text', '2,000 texts')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
