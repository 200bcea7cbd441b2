"""SquareGrad for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare SquareGrad."""
    yield Method(
        name="square-grad",
        kind="attribution",
        target="interp_square_grad.square_grad:SquareGrad",
        summary="mean squared gradient under noise",
        source="Hooker, Erhan, Kindermans, Kim 2019, arXiv:1806.10758",
        needs=frozenset({"gradients"}),
        claims=frozenset({"nonnegative", "seeded"}),
    )
