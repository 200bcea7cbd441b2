"""Input times gradient."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare input times gradient."""
    yield Method(
        name="input-x-gradient",
        kind="attribution",
        target="interp_input_x_gradient.input_x_gradient:InputXGradient",
        summary="gradient times the difference of the input from the baseline",
        source="Shrikumar, Greenside, Shcherbina, Kundaje 2016, arXiv:1605.01713",
        needs=frozenset({"gradients"}),
        claims=frozenset({"signed", "pointwise"}),
    )
