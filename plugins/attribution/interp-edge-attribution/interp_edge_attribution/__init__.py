"""Edges between components: which of them carry an answer, and how much of it a circuit of them keeps."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: edges are scored by `interp.find_circuit`."""
    return ()
