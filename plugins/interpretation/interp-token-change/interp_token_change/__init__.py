"""The tokens that become more or less probable when a concept is ablated or added."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the interpretation by changes of the output."""
    yield Method(
        name="token-change",
        kind="interpretation",
        target="interp_token_change.token_change:TokenChange",
        summary="the tokens whose probability changes when a concept is ablated or added",
        source="definition",
        needs=frozenset({"model"}),
    )
