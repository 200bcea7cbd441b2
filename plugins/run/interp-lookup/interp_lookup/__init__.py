"""A small trained model with a known mechanism: it looks up who holds what in a context of sentences."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package brings a model on which those of others can be checked."""
    return ()
