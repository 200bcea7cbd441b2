"""Sobol indices for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare Sobol indices."""
    yield Method(
        name="sobol",
        kind="attribution",
        target="interp_sobol.sobol:Sobol",
        summary="the share of the score's variance over random masks that a unit has a part in",
        source="Fel, Cadène, Chalvidal, Cord, Vigouroux, Serre 2021, arXiv:2111.04138",
        claims=frozenset({"seeded", "nonnegative", "exact-when-small"}),
    )
