"""HTML of values for notebooks, and figures of them for papers, without an import of what draws them.

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
    """The HTML of a value of a type that no package draws: its columns as a table, or else its `repr`."""
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
    """The HTML of a value, drawn by the package that has registered its type.

    Args:
        value: any value; one that no package draws is shown as a table of its `columns()`, or else as its `repr`.

    Returns:
        A fragment of HTML.

    Examples:
        >>> from interp_core.display import html
        >>> html(3)
        '<pre>3</pre>'
    """
    _register_all(GROUP, html_of)
    return html_of(value)


@singledispatch
def figure_of(value: Any, **options: Any) -> Any:
    """The figure of a value of a type that no package draws: there is none."""
    raise NotImplementedError(type(value).__name__)


def figure(value: Any, **options: Any) -> Any:
    """A value as a figure, drawn by the package that has registered its type.

    Args:
        value: any value.
        **options: what the drawing function of the type takes.

    Returns:
        The figure, such as a `matplotlib.figure.Figure`.

    Raises:
        NotImplementedError: no package draws values of this type.
        InputError: what draws it is not installed, or an option is unknown.

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
    """A context in which progress bars are shown, in terminals and notebooks, or are not.

    Args:
        shown: False for none; True changes nothing.

    Yields:
        Nothing.

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
    """A progress bar with the time that is left, for whatever takes more than a second; gone when it ends.

    Args:
        items: what is gone through; None for a bar that is told to `update()`.
        description: what is being done.
        total: how many items there are; the length of `items` by default.
        initial: how many are done already.
        unit: what an item is called.

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
