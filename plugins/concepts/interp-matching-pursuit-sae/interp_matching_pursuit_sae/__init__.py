"""Matching pursuit sparse autoencoders."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the matching pursuit sparse autoencoder."""
    yield Method(
        name="matching-pursuit-sae",
        kind="concepts",
        target="interp_matching_pursuit_sae.matching_pursuit:MatchingPursuitSAE",
        summary="sparse autoencoder that takes one concept after another from the residual",
        source="Costa et al. 2025, arXiv:2506.03093",
        claims=frozenset({"decodes", "nonnegative", "recovers", "seeded"}),
    )
