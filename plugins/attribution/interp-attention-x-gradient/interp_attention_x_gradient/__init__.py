"""Attention times gradient."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare attention times gradient."""
    yield Method(
        name="attention-x-gradient",
        kind="attribution",
        target="interp_attention_x_gradient.attention_x_gradient:AttentionXGradient",
        summary="attention that a unit receives, weighted by the gradient of the score",
        source="Barkan et al. 2021, arXiv:2204.11073; Chefer, Gur, Wolf 2021, arXiv:2103.15679",
        needs=frozenset({"internals"}),
        claims=frozenset({"nonnegative"}),
    )
