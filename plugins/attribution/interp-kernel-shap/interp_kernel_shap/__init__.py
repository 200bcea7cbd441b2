"""Kernel SHAP for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare Kernel SHAP."""
    yield Method(
        name="kernel-shap",
        kind="attribution",
        target="interp_kernel_shap.kernel_shap:KernelShap",
        summary="Shapley values from a weighted linear regression on pairs of subsets",
        source="Lundberg, Lee 2017, arXiv:1705.07874; Covert, Lee 2021, arXiv:2012.01536",
        claims=frozenset({"complete", "seeded", "signed", "exact-when-small"}),
    )
