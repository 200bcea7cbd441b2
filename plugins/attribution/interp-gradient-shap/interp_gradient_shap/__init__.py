"""GradientSHAP for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare GradientSHAP."""
    yield Method(
        name="gradient-shap",
        kind="attribution",
        target="interp_gradient_shap.gradient_shap:GradientShap",
        summary="integrated gradients averaged over noisy copies of the input",
        source="Lundberg, Lee 2017, arXiv:1705.07874; Erion et al. 2021, arXiv:1906.10670",
        needs=frozenset({"gradients"}),
        claims=frozenset({"seeded", "signed"}),
    )
