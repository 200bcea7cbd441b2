"""Whether a single concept tells a label."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the detection of labels by one concept."""
    yield Method(
        name="concept-detection",
        kind="metric",
        target="interp_concept_detection.detection:ConceptDetection",
        summary="AUROC of the single concept that tells a label best, on held-out texts",
        source="Gurnee et al. 2023, arXiv:2305.01610; baselines: Wu et al. 2025, arXiv:2501.17148",
        needs=frozenset({"labels"}),
        measures="concepts",
    )
