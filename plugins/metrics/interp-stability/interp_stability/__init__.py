"""Whether a method finds the same concepts again."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare stability."""
    yield Method(
        name="stability",
        kind="metric",
        target="interp_stability.stability:Stability",
        summary="cosine of each concept with its match in spaces learnt again",
        source="Fel et al. 2023, arXiv:2306.07304",
        needs=frozenset({"method"}),
        measures="concepts",
    )
