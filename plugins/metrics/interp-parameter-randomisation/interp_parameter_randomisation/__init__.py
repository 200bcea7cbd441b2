"""The test of parameter randomisation."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare parameter randomisation."""
    yield Method(
        name="parameter-randomisation",
        kind="metric",
        target="interp_parameter_randomisation.parameter_randomisation:ParameterRandomisation",
        summary="how similar attributions stay when the model's weights are drawn anew",
        source="Adebayo et al. 2018, arXiv:1810.03292",
        needs=frozenset({"method", "model"}),
        measures="attribution",
    )
