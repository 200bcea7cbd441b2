"""Spreads a run over the machines of a Ray cluster."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the executor."""
    yield Method(
        name="ray",
        kind="executor",
        target="interp_ray.executor:Ray",
        summary="works on shards in actors of a Ray cluster; replaces those that die",
        source="Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018",
    )
