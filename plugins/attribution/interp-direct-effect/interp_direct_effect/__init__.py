"""Direct effects of components on a logit."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the direct effect."""
    yield Method(
        name="direct-effect",
        kind="attribution",
        target="interp_direct_effect.direct_effect:DirectEffect",
        summary="direct logit attribution: what each component writes to a logit by itself",
        source="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits",
        needs=frozenset({"components"}),
        claims=frozenset({"signed"}),
    )
