"""Integrated gradients."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare integrated gradients."""
    yield Method(
        name="integrated-gradients",
        kind="attribution",
        target="interp_integrated_gradients.integrated_gradients:IntegratedGradients",
        summary="mean gradient between baseline and input, times their difference",
        source="Sundararajan, Taly, Yan 2017, arXiv:1703.01365",
        needs=frozenset({"gradients"}),
        claims=frozenset({"complete", "signed"}),
    )
