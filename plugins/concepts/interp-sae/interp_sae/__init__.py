"""Sparse autoencoders with an L1 penalty, and the training that all sparse autoencoders share."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the ReLU sparse autoencoder."""
    yield Method(
        name="sae",
        kind="concepts",
        target="interp_sae.sae:SAE",
        summary="sparse autoencoder: ReLU codes, few of them by an L1 penalty",
        source="Bricken et al. 2023, Towards Monosemanticity, Transformer Circuits",
        claims=frozenset({"seeded", "nonnegative", "decodes", "recovers"}),
    )
