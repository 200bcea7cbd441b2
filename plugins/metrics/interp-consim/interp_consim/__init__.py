"""Whether the answers of a model can be predicted from its concepts."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare simulatability by concepts."""
    yield Method(
        name="consim",
        kind="metric",
        target="interp_consim.consim:ConSim",
        summary="how often a judge predicts the answer of the model from labelled concepts",
        source="Poché et al. 2025, arXiv:2501.05855",
        measures="interpretation",
    )
