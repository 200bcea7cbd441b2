"""Sparse autoencoders that others trained."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the pretrained sparse autoencoder; what it gives depends on its file, so nothing is claimed of it."""
    yield Method(
        name="pretrained-sae",
        kind="concepts",
        target="interp_pretrained_sae.pretrained_sae:PretrainedSAE",
        summary="a trained sparse autoencoder of SAELens, sparsify, Gemma Scope and others",
        source="Bricken et al. 2023, transformer-circuits.pub/2023/monosemantic-features",
    )
