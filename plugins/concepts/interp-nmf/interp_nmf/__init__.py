"""Non-negative matrix factorisation."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare NMF."""
    yield Method(
        name="nmf",
        kind="concepts",
        target="interp_nmf.nmf:NMF",
        summary="non-negative activations as non-negative sums of non-negative directions",
        source="Lee, Seung 1999, Nature 401:788-791",
        needs=frozenset({"nonnegative"}),
        claims=frozenset({"seeded", "nonnegative", "decodes", "recovers"}),
    )
