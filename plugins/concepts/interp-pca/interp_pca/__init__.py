"""Principal component analysis."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare PCA."""
    yield Method(
        name="pca",
        kind="concepts",
        target="interp_pca.pca:PCA",
        summary="the directions in which activations vary most",
        source="Pearson 1901, Philosophical Magazine 2(11):559-572; Jolliffe 2002, ISBN 978-0-387-95442-4",
        claims=frozenset({"decodes", "recovers"}),
    )
