"""Gated sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the gated sparse autoencoder."""
    yield Method(
        name="gated-sae",
        kind="concepts",
        target="interp_gated_sae.gated:GatedSAE",
        summary="sparse autoencoder with gates that decide which concepts are active",
        source="Rajamanoharan et al. 2024, arXiv:2404.16014",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
