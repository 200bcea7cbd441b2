"""The sources of each sentence of an answer."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package brings `interp.grounded`, which reads the attributions of others."""
    return ()
