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
        summary="how much tokens change when the values of another are zero, rolled out",
        source="Mohebbi, Zuidema, Chrupała, Alishahi 2023, arXiv:2301.12971",
        needs=frozenset({"internals"}),
        claims=frozenset({"nonnegative"}),
    )
