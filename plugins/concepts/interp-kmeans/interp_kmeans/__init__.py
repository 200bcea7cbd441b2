"""K-means clustering."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare k-means."""
    yield Method(
        name="kmeans",
        kind="concepts",
        target="interp_kmeans.kmeans:KMeans",
        summary="how near activations are to the centres of clusters",
        source="Lloyd 1982, IEEE TIT 28(2); Arthur, Vassilvitskii 2007, SODA; Sculley 2010, WWW",
        claims=frozenset({"seeded", "nonnegative", "decodes"}),
    )
