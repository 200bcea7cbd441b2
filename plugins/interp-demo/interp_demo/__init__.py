"""A demonstration that runs offline: 1,338 short sentences, a classifier trained on them, and the story `interp demo` tells."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package shows those of others at work."""
    return ()
