"""How well a few concepts tell a label."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare k-sparse probing."""
    yield Method(
        name="k-sparse-probing",
        kind="metric",
        target="interp_sparse_probing.probing:KSparseProbing",
        summary="balanced accuracy of a probe on the k concepts that differ most by label",
        source="Gurnee et al. 2023, arXiv:2305.01610; SAEBench: Karvonen et al. 2025, arXiv:2503.09532",
        needs=frozenset({"labels"}),
        measures="concepts",
    )
