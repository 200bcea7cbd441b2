"""HTML of values for notebooks, and figures for publication, without importing what draws them.

A package that draws values has an entry point in the group `interp.display` for HTML, or `interp.figures` for figures.
It is loaded when a value is first shown, and called with a `functools.singledispatch` function, `html_of` or
`figure_of`, with which it registers a function for each type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, singledispatch
from importlib.metadata import entry_points
from typing import Any

__all__ = ["GROUP", "figure", "html", "progress_bar", "progress_shown"]

GROUP = "interp.display"
FIGURES = "interp.figures"


@singledispatch
def html_of(value: Any) -> str:
    """Render a value of a type that no package draws: its columns as a table, or else its `repr`."""
    import html

    columns = getattr(value, "columns", None)
    if not callable(columns):
        return f"<pre>{html.escape(repr(value))}</pre>"

    def row(cells: Iterable[Any], tag: str) -> str:
        shown = "".join(f'<{tag} style="text-align:left">{html.escape(str(cell))}</{tag}>' for cell in cells)
        return f"<tr>{shown}</tr>"

    named = columns()
    rows = "".join(row(cells, "td") for cells in zip(*named.values(), strict=True))
    return f"<table><thead>{row(named, 'th')}</thead><tbody>{rows}</tbody></table>"


def html(value: Any) -> str:
    """Render a value as HTML, by the package that has registered its type.

    Args:
        value: any value; one that no package draws is shown as a table of its `columns()`, or else as its `repr`.

    Returns:
        An HTML fragment.

    Examples:
        >>> from interp_core.display import html
        >>> html(3)
        '<pre>3</pre>'
    """
    _register_all(GROUP, html_of)
    return html_of(value)


@singledispatch
def figure_of(value: Any, **options: Any) -> Any:
    """Raise an error, since no package draws values of this type."""
    raise NotImplementedError(type(value).__name__)


def figure(value: Any, **options: Any) -> Any:
    """Draw a value as a figure, by the package that has registered its type.

    Args:
        value: any value.
        **options: the options of the drawing function of the type.

    Returns:
        The figure, such as a `matplotlib.figure.Figure`.

    Raises:
        NotImplementedError: no package draws values of this type.
        InputError: the package that draws the value is not installed, or an option is unknown.

    Examples:
        >>> from interp_core.display import figure
        >>> figure(3)
        Traceback (most recent call last):
        NotImplementedError: int
    """
    _register_all(FIGURES, figure_of)
    return figure_of(value, **options)


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def progress_shown(shown: bool) -> Iterator[None]:
    """Open a context in which progress bars are shown, in terminals and notebooks, or hidden.

    Args:
        shown: False to hide progress bars; True changes nothing.

    Yields:
        None.

    Examples:
        >>> from interp_core.display import progress_bar, progress_shown
        >>> with progress_shown(False):
        ...     progress_bar(range(3), "steps").disable
        True
    """
    token = _quiet.set(_quiet.get() or not shown)
    try:
        yield
    finally:
        _quiet.reset(token)


def progress_bar(
    items: Iterable[Any] | None, description: str, *, total: int | None = None, initial: int = 0, unit: str = "step"
) -> Any:
    """Make a progress bar with an estimate of the time left, for work of more than a second; it is removed at the end.

    Args:
        items: the items to iterate over; None for a bar that is advanced by `update()`.
        description: the label of the bar.
        total: the number of items; the length of `items` by default.
        initial: the number of items that are already done.
        unit: the noun for an item.

    Returns:
        A `tqdm.tqdm`: an iterable of the items, and a context manager. It shows nothing without a terminal or notebook,
        and in `progress_shown(False)`.

    Examples:
        >>> from interp_core.display import progress_bar
        >>> [step for step in progress_bar(range(3), "learning")]
        [0, 1, 2]
    """
    from tqdm.auto import tqdm

    disable = True if _quiet.get() else None
    return tqdm(items, description, total, initial=initial, unit=unit, disable=disable, leave=False)


@cache
def _register_all(group: str, drawn: Callable[..., Any]) -> None:
    for entry in entry_points(group=group):
        entry.load()(drawn)
