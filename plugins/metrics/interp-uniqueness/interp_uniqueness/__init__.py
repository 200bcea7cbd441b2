"""Whether the directions of a dictionary are distinct."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare uniqueness."""
    yield Method(
        name="uniqueness",
        kind="metric",
        target="interp_uniqueness.uniqueness:Uniqueness",
        summary="how far each direction is from the one most like it",
        source="definition",
        measures="concepts",
    )
