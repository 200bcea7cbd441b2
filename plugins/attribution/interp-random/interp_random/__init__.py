"""Random scores, the floor of every comparison."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare random scores."""
    yield Method(
        name="random",
        kind="attribution",
        target="interp_random.draw:Random",
        summary="scores drawn at random, without evaluating the model: the chance level",
        source="definition",
        claims=frozenset({"ignores-model", "seeded"}),
    )
