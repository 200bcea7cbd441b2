"""Max-sensitivity."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare max-sensitivity."""
    yield Method(
        name="max-sensitivity",
        kind="metric",
        target="interp_max_sensitivity.max_sensitivity:MaxSensitivity",
        summary="largest relative change of attributions when the input moves a little",
        source="Yeh et al. 2019, arXiv:1901.09392",
        needs=frozenset({"method"}),
        measures="attribution",
    )
