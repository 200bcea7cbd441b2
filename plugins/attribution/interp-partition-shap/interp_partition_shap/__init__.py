"""Partition SHAP for text."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare partition SHAP."""
    yield Method(
        name="partition-shap",
        kind="attribution",
        target="interp_partition_shap.partition_shap:PartitionShap",
        summary="Owen values: Shapley values along a tree of sentences, clauses, words, units",
        source="Owen 1977; Lundberg 2020, the Partition explainer of shap",
        claims=frozenset({"complete", "signed"}),
    )
