"""SmoothGrad for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare SmoothGrad."""
    yield Method(
        name="smooth-grad",
        kind="attribution",
        target="interp_smooth_grad.smooth_grad:SmoothGrad",
        summary="mean gradient under noise, times the difference from the baseline",
        source="Smilkov, Thorat, Kim, Viégas, Wattenberg 2017, arXiv:1706.03825",
        needs=frozenset({"gradients"}),
        claims=frozenset({"seeded", "signed"}),
    )
