"""Archetypal sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the archetypal sparse autoencoder."""
    yield Method(
        name="archetypal-sae",
        kind="concepts",
        target="interp_archetypal_sae.archetypal:ArchetypalSAE",
        summary="sparse autoencoder whose concepts are mixtures of rows of the data",
        source="Fel et al. 2025, arXiv:2502.12892",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
