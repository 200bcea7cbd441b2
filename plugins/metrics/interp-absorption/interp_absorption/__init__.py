"""How often a concept is silent where a more special one stands in for it."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the rate of absorption."""
    yield Method(
        name="absorption",
        kind="metric",
        target="interp_absorption.absorption:Absorption",
        summary="how often a label's concept is silent while another holds its direction",
        source="Chanin et al. 2024, arXiv:2409.14507; SAEBench: Karvonen et al. 2025, arXiv:2503.09532",
        needs=frozenset({"labels"}),
        measures="concepts",
    )
