"""ReAGent, for classifiers too."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare ReAGent."""
    yield Method(
        name="reagent",
        kind="attribution",
        target="interp_reagent.reagent:Reagent",
        summary="how much the score falls when a unit is among those replaced by other words",
        source="Zhao, Shan 2024, arXiv:2402.00794",
        claims=frozenset({"seeded"}),
    )
