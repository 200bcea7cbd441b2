"""Concept activation vectors, and the test of a model with them."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

KIM = "Kim et al. 2018, arXiv:1711.11279"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare concept activation vectors and TCAV."""
    yield Method(
        name="cav",
        kind="concepts",
        target="interp_cav.cav:CAV",
        summary="unit normals of classifiers between rows with a concept and other rows",
        source=KIM,
        needs=frozenset({"labels"}),
        claims=frozenset({"seeded"}),
    )
    yield Method(
        name="tcav",
        kind="metric",
        target="interp_cav.metric:SensitiveShare",
        summary="share of pairs of a class and a concept that the class is sensitive to",
        source=KIM,
        needs=frozenset({"labels", "method", "model"}),
        measures="concepts",
    )
