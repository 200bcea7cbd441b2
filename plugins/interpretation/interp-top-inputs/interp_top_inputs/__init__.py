"""The inputs and words where a concept is most active."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the interpretation by top inputs."""
    yield Method(
        name="top-inputs",
        kind="interpretation",
        target="interp_top_inputs.top_inputs:TopInputs",
        summary="the units where a concept is most active, and the words that raise it",
        source="definition",
    )
