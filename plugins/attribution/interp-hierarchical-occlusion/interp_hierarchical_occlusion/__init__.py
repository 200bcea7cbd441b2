"""Hierarchical occlusion."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare hierarchical occlusion."""
    yield Method(
        name="hierarchical-occlusion",
        kind="attribution",
        target="interp_hierarchical_occlusion.hierarchical:HierarchicalOcclusion",
        summary="occlusion of documents, then of the units of those that matter",
        source="Liu, Kandpal, Raffel 2024, arXiv:2411.15102",
        claims=frozenset({"signed"}),
    )
