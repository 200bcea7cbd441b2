"""Truncated singular value decomposition."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the SVD."""
    yield Method(
        name="svd",
        kind="concepts",
        target="interp_svd.svd:SVD",
        summary="orthogonal directions through the origin that hold most of the activations",
        source="Eckart, Young 1936, Psychometrika 1(3):211-218",
        claims=frozenset({"decodes", "recovers"}),
    )
