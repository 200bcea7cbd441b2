"""Independent component analysis."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare ICA."""
    yield Method(
        name="ica",
        kind="concepts",
        target="interp_ica.ica:ICA",
        summary="directions whose codes are statistically independent",
        source="Hyvärinen, Oja 2000, Neural Networks 13(4-5):411-430",
        claims=frozenset({"seeded", "decodes", "recovers"}),
    )
