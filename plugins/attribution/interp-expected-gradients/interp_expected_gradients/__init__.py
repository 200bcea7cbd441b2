"""Expected gradients for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare expected gradients."""
    yield Method(
        name="expected-gradients",
        kind="attribution",
        target="interp_expected_gradients.expected_gradients:ExpectedGradients",
        summary="integrated gradients from random references in place of one baseline",
        source="Erion, Janizek, Sturmfels, Lundberg, Lee 2021, arXiv:1906.10670",
        needs=frozenset({"gradients"}),
        claims=frozenset({"seeded", "signed"}),
    )
