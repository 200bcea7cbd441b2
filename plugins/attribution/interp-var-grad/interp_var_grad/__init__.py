"""VarGrad for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare VarGrad."""
    yield Method(
        name="var-grad",
        kind="attribution",
        target="interp_var_grad.var_grad:VarGrad",
        summary="variance of the gradient under noise",
        source="Adebayo, Gilmer, Goodfellow, Kim 2018, arXiv:1810.03307",
        needs=frozenset({"gradients"}),
        claims=frozenset({"nonnegative", "seeded"}),
    )
