"""Saliency for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare saliency."""
    yield Method(
        name="saliency",
        kind="attribution",
        target="interp_saliency.saliency:Saliency",
        summary="absolute gradient of the score at each unit",
        source="Simonyan, Vedaldi, Zisserman 2014, arXiv:1312.6034",
        needs=frozenset({"gradients"}),
        claims=frozenset({"nonnegative", "pointwise"}),
    )
