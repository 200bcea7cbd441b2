"""DeepLIFT."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare DeepLIFT."""
    yield Method(
        name="deep-lift",
        kind="attribution",
        target="interp_deep_lift.deep_lift:DeepLift",
        summary="differences from the baseline, propagated back by the rescale rule",
        source="Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685",
        needs=frozenset({"internals", "gradients"}),
        claims=frozenset({"complete", "signed"}),
    )
