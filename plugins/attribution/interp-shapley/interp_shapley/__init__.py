"""Shapley values for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare Shapley values."""
    yield Method(
        name="shapley",
        kind="attribution",
        target="interp_shapley.shapley:Shapley",
        summary="what a unit adds to those before it, averaged over the orders of the units",
        source="Shapley 1953; Castro, Gómez, Tejada 2009, Computers & Operations Research 36(5)",
        claims=frozenset({"complete", "seeded", "signed", "exact-when-small"}),
    )
