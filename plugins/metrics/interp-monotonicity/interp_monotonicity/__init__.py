"""Monotonicity and faithfulness correlation."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both."""
    yield Method(
        name="monotonicity",
        kind="metric",
        target="interp_monotonicity.monotonicity:Monotonicity",
        summary="whether units put back in rising order of attribution add ever more",
        source="Luss et al. 2019, arXiv:1905.12698; Arya et al. 2019, arXiv:1909.03012",
        measures="attribution",
    )
    yield Method(
        name="faithfulness-correlation",
        kind="metric",
        target="interp_monotonicity.correlation:FaithfulnessCorrelation",
        summary="correlation of summed attributions with what removing their units takes away",
        source="Bhatt, Weller, Moura 2020, arXiv:2005.00631",
        measures="attribution",
    )
