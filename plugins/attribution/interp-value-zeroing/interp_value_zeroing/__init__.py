"""Value zeroing."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare value zeroing."""
    yield Method(
        name="value-zeroing",
        kind="attribution",
        target="interp_value_zeroing.value_zeroing:ValueZeroing",
        summary="how far the state that is read moves when the values of a token are zero",
        source="Mohebbi, Zuidema, Chrupała, Alishahi 2023, arXiv:2301.12971",
        needs=frozenset({"internals"}),
        claims=frozenset({"nonnegative"}),
    )
