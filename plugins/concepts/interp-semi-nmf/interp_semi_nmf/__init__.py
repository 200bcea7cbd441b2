"""Semi-non-negative matrix factorisation."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare semi-NMF."""
    yield Method(
        name="semi-nmf",
        kind="concepts",
        target="interp_semi_nmf.semi_nmf:SemiNMF",
        summary="activations as non-negative sums of directions of any sign",
        source="Ding, Li, Jordan 2010, IEEE TPAMI 32(1):45-55",
        claims=frozenset({"seeded", "nonnegative", "decodes", "recovers"}),
    )
