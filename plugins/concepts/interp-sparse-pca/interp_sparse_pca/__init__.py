"""Sparse principal component analysis."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare sparse PCA."""
    yield Method(
        name="sparse-pca",
        kind="concepts",
        target="interp_sparse_pca.sparse_pca:SparsePCA",
        summary="directions of large variance that have few dimensions each",
        source="Jenatton, Obozinski, Bach 2010, arXiv:0909.1440; Mairal et al. 2009, ICML",
        claims=frozenset({"decodes"}),
    )
