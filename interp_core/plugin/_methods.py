"""Lists of methods, which are shown as tables."""

from __future__ import annotations

from interp_core.display import html
from interp_core.plugin._declaration import Method


class Methods(tuple[Method, ...]):
    """The declarations of methods: a tuple that is shown as a table.

    Examples:
        >>> [method.name for method in interp.methods("executor")]  # with interp-processes and interp-ray
        ['processes', 'ray']
        >>> print(interp.methods("interpretation")[0].summary)
        a language model names each concept from where it is active
    """

    __slots__ = ()

    def columns(self) -> dict[str, list[str]]:
        """The columns of the table."""
        names = ("name", "kind", "summary", "source")
        return {name: [str(getattr(method, name)) for method in self] for name in names}

    def __repr__(self) -> str:
        kinds = sorted({method.kind for method in self})
        return f"Methods({len(self)}{' of kind ' if kinds else ''}{', '.join(kinds)})"

    def __str__(self) -> str:
        width = max((len(method.name) for method in self), default=0)
        return "\n".join(f"{method.name:<{width}}   {method.summary}" for method in self)

    def _repr_html_(self) -> str:
        return html(self)
