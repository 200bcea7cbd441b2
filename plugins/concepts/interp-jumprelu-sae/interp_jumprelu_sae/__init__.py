"""JumpReLU sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the JumpReLU sparse autoencoder."""
    yield Method(
        name="jumprelu-sae",
        kind="concepts",
        target="interp_jumprelu_sae.jumprelu:JumpReLUSAE",
        summary="sparse autoencoder with a learnt threshold for each concept, and an L0 penalty",
        source="Rajamanoharan et al. 2024, arXiv:2407.14435",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
