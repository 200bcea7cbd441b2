"""Values show themselves in a notebook without importing what draws them.

`html(value)` is a `functools.singledispatch`: a package that can draw a value registers its function, and is found by
an entry point of the group `interp.display` when a value is first shown.
"""

from __future__ import annotations

from functools import cache, singledispatch
from importlib.metadata import entry_points
from typing import Any

GROUP = "interp.display"


@singledispatch
def html_of(value: Any) -> str:
    """A value as HTML for a notebook; its `repr`, escaped, where nothing that draws it is installed."""
    import html

    return f"<pre>{html.escape(repr(value))}</pre>"


def html(value: Any) -> str:
    """A value as HTML, drawn by whatever has registered itself for its type.

    Examples:
        >>> html(3)
        '<pre>3</pre>'
    """
    _register_all()
    return html_of(value)


@cache
def _register_all() -> None:
    for entry in entry_points(group=GROUP):
        entry.load()(html_of)
