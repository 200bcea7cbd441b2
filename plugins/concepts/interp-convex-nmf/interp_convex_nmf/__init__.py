"""Convex non-negative matrix factorisation."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare convex NMF."""
    yield Method(
        name="convex-nmf",
        kind="concepts",
        target="interp_convex_nmf.convex_nmf:ConvexNMF",
        summary="activations as non-negative sums of directions that are sums of rows",
        source="Ding, Li, Jordan 2010, IEEE TPAMI 32(1):45-55",
        claims=frozenset({"seeded", "nonnegative", "decodes", "recovers"}),
    )
