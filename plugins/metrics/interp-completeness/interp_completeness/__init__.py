"""Completeness."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare completeness."""
    yield Method(
        name="completeness",
        kind="metric",
        target="interp_completeness.completeness:Completeness",
        summary="how far attributions are from adding up to the difference they explain",
        source="Sundararajan, Taly, Yan 2017, arXiv:1703.01365",
        measures="attribution",
    )
