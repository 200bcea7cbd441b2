"""LIME for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare LIME."""
    yield Method(
        name="lime",
        kind="attribution",
        target="interp_lime.lime:Lime",
        summary="a weighted linear model of what happens when units are left out",
        source="Ribeiro, Singh, Guestrin 2016, arXiv:1602.04938",
        claims=frozenset({"seeded", "signed", "exact-when-small"}),
    )
