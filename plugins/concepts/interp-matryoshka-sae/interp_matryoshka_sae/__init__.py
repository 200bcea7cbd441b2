"""Matryoshka sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the Matryoshka sparse autoencoder."""
    yield Method(
        name="matryoshka-sae",
        kind="concepts",
        target="interp_matryoshka_sae.matryoshka:MatryoshkaSAE",
        summary="sparse autoencoder whose first concepts must reconstruct without the later ones",
        source="Bussmann et al. 2025, arXiv:2503.17547",
        claims=frozenset({"decodes", "nonnegative", "seeded"}),
    )
