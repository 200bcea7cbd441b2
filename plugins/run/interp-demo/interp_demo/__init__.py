"""A demonstration that runs offline: short sentences, a classifier trained on them, and a story told on both."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package shows those of others at work."""
    return ()
