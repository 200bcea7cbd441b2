"""Occlusion for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare occlusion."""
    yield Method(
        name="occlusion",
        kind="attribution",
        target="interp_occlusion.occlusion:Occlusion",
        summary="how much the score falls when one unit is removed",
        source="Zeiler, Fergus 2014, arXiv:1311.2901; Li, Monroe, Jurafsky 2016, arXiv:1612.08220",
        claims=frozenset({"signed"}),
    )
