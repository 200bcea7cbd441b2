"""Infidelity."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare infidelity."""
    yield Method(
        name="infidelity",
        kind="metric",
        target="interp_infidelity.infidelity:Infidelity",
        summary="squared error of attributions as predictions of what removal takes away",
        source="Yeh et al. 2019, arXiv:1901.09392",
        measures="attribution",
    )
