"""Whether, and how soon, the model decides otherwise."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both flips."""
    yield Method(
        name="decision-flip",
        kind="metric",
        target="interp_decision_flip.flips:DecisionFlip",
        summary="share of inputs whose decision changes without their top unit",
        source="Chrysostomou, Aletras 2021, arXiv:2105.02657",
        measures="attribution",
    )
    yield Method(
        name="flip-fraction",
        kind="metric",
        target="interp_decision_flip.flips:FlipFraction",
        summary="smallest share of the top units whose removal changes the decision",
        source="Serrano, Smith 2019, arXiv:1906.03731",
        measures="attribution",
    )
