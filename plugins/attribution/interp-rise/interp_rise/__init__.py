"""RISE for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare RISE."""
    yield Method(
        name="rise",
        kind="attribution",
        target="interp_rise.rise:Rise",
        summary="the mean score of random masks that keep a unit, less those that remove it",
        source="Petsiuk, Das, Saenko 2018, arXiv:1806.07421",
        claims=frozenset({"seeded", "signed", "exact-when-small"}),
    )
