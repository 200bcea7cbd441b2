"""The base class of results: representations in terminals and notebooks, tables, figures and JSON."""

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
    """Base class of results, which are shown, tabulated, plotted and exported in the same way.

    A subclass implements `one_line` (for its `repr`), `summary`, `to_json` and `columns`.

    Examples:
        >>> from interp_core.metrics import Score
        >>> score = Score(0.8, higher_is_better=True, name="insertion")
        >>> score
        Score(insertion 0.800, higher is better)
        >>> score.to_json()["value"]
        0.8
    """

    def one_line(self) -> str:
        """Describe the value in less than a line, as its `repr` does."""
        raise NotImplementedError

    def summary(self) -> str:
        """Describe the value in a few lines of plain text."""
        return repr(self)

    def to_json(self) -> dict[str, Any]:
        """Convert to valid JSON values; NaN and infinity become None, and a note says so."""
        raise NotImplementedError

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of `to_dataframe` by name, all of the same length."""
        raise NotImplementedError

    def to_dataframe(self) -> Any:
        """Convert to a pandas data frame: scores in long form, rows and directions with a column for each dimension.

        Returns:
            The `pandas.DataFrame`.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_dataframe needs the package pandas: pip install pandas.") from error
        return pandas.DataFrame(dict(self.columns()))

    def to_csv(self, path: str | Path | None = None) -> str:
        """Convert the columns of `to_dataframe` to CSV, without pandas.

        Args:
            path: a file to which the text is also written; missing folders are created.

        Returns:
            The text, with empty cells for None.
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
        """Draw a matplotlib figure, for publication; notebooks display it, and its `savefig` writes it.

        Args:
            **options: the options of this kind of value.

        Returns:
            The `matplotlib.figure.Figure`.

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
    """Join names in a line, such as `'joy', 'anger', 'fear' and 3 more`.

    Args:
        names: the names.
        most: the maximum number of names.
        length: the maximum number of characters of a name.

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
    """Write a count with its noun.

    Args:
        count: the count.
        noun: the noun, in the singular.

    Returns:
        The count and the noun, in the plural unless the count is 1.

    Examples:
        >>> from interp_core.results import counted
        >>> counted(1, "text"), counted(2000, "text")
        ('1 text', '2,000 texts')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
