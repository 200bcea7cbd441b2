"""Nearness to the centres of classes."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare class centres."""
    yield Method(
        name="centroid",
        kind="concepts",
        target="interp_centroid.centroid:Centroid",
        summary="how near a row is to the centre of each class",
        source="Tibshirani et al. 2002, PNAS 99(10):6567-6572; Fisher 1936, Annals of Eugenics 7(2):179-188",
        needs=frozenset({"labels"}),
        claims=frozenset({"recovers"}),
    )
