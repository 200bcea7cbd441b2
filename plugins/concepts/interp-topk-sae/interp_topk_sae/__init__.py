"""Top-k sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the top-k sparse autoencoder."""
    yield Method(
        name="topk-sae",
        kind="concepts",
        target="interp_topk_sae.topk:TopKSAE",
        summary="sparse autoencoder that keeps the largest codes of each row",
        source="Gao et al. 2024, arXiv:2406.04093",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
