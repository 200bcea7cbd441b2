"""HTML of values for notebooks, without an import of what draws it.

A package that draws values has an entry point in the group `interp.display`. It is loaded when a value is first shown,
and called with `html_of`, a `functools.singledispatch` function with which it registers a function for each type.
"""

from __future__ import annotations

from functools import cache, singledispatch
from importlib.metadata import entry_points
from typing import Any

GROUP = "interp.display"


@singledispatch
def html_of(value: Any) -> str:
    """The HTML of a value of a type that no package draws: its escaped `repr`."""
    import html

    return f"<pre>{html.escape(repr(value))}</pre>"


def html(value: Any) -> str:
    """The HTML of a value, drawn by the package that has registered its type.

    Args:
        value: any value; one that no package draws is shown as its `repr`.

    Returns:
        A fragment of HTML.

    Examples:
        >>> from interp_core.display import html
        >>> html(3)
        '<pre>3</pre>'
    """
    _register_all()
    return html_of(value)


@cache
def _register_all() -> None:
    for entry in entry_points(group=GROUP):
        entry.load()(html_of)
