"""Neurons as concepts."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare neurons."""
    yield Method(
        name="neurons",
        kind="concepts",
        target="interp_neurons.neurons:Neurons",
        summary="each dimension of the layer as a concept",
        source="definition; the comparison of Bau et al. 2017, arXiv:1704.05796, section 3.2",
        claims=frozenset({"decodes"}),
    )
