"""Metrics of sources."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both metrics."""
    yield Method(
        name="log-probability-drop",
        kind="metric",
        target="interp_source_metrics.log_probability_drop:LogProbabilityDrop",
        summary="fall of the log-probability without the units of highest attribution",
        source="Cohen-Wang et al. 2024, arXiv:2409.00729",
        measures="attribution",
    )
    yield Method(
        name="linear-datamodelling-score",
        kind="metric",
        target="interp_source_metrics.linear_datamodelling:LinearDatamodellingScore",
        summary="rank correlation of summed attributions with scores of random halves",
        source="Park et al. 2023, arXiv:2303.14186; Cohen-Wang et al. 2024, arXiv:2409.00729",
        measures="attribution",
    )
