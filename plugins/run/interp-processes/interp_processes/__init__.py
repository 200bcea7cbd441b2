"""Spreads a run over processes of this machine."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the executor."""
    yield Method(
        name="processes",
        kind="executor",
        target="interp_processes.executor:Processes",
        summary="works on shards in processes of this machine; replaces those that are killed",
        source="definition",
    )
