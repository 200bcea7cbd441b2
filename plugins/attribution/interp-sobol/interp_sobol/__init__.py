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
        summary="share of the score's variance over random masks that is due to a unit",
        source="Fel, Cadène, Chalvidal, Cord, Vigouroux, Serre 2021, arXiv:2111.04138",
        claims=frozenset({"seeded", "nonnegative", "exact-when-small"}),
    )
