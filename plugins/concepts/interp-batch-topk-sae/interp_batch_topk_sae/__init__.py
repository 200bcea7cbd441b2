"""Batch top-k sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the batch top-k sparse autoencoder."""
    yield Method(
        name="batch-topk-sae",
        kind="concepts",
        target="interp_batch_topk_sae.batch_topk:BatchTopKSAE",
        summary="sparse autoencoder that keeps the largest codes of a batch of rows",
        source="Bussmann, Leask, Nanda 2024, arXiv:2412.06410",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
