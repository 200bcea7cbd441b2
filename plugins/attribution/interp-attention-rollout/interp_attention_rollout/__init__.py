"""Attention rollout."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare attention rollout."""
    yield Method(
        name="attention-rollout",
        kind="attribution",
        target="interp_attention_rollout.attention_rollout:AttentionRollout",
        summary="share of each token in the position read, if only attention mixed tokens",
        source="Abnar, Zuidema 2020, arXiv:2005.00928",
        needs=frozenset({"internals"}),
        claims=frozenset({"nonnegative"}),
    )
