"""Pipelines: named steps as data, from Python, TOML or YAML, whose results are kept and found again."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package runs those of others."""
    return ()
