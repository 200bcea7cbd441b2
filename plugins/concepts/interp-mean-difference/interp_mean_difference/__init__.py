"""Directions between the mean of a class and the mean of the rest."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the difference of means."""
    yield Method(
        name="mean-difference",
        kind="concepts",
        target="interp_mean_difference.mean_difference:MeanDifference",
        summary="the mean of the rows of a class less the mean of the rest",
        source="Marks, Tegmark 2023, arXiv:2310.06824 (mass-mean probe); Rimsky et al. 2023, arXiv:2312.06681",
        needs=frozenset({"labels"}),
        claims=frozenset({"recovers"}),
    )
