"""Scores of the labels of concepts."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

PAULO = "Paulo et al. 2024, arXiv:2410.13928"
BILLS = "Bills et al. 2023, Language models can explain neurons in language models"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the scores of labels."""
    for name, target, summary, source in (
        (
            "detection",
            "detection:Detection",
            "accuracy of a judge that tells by the label which texts have a concept",
            PAULO,
        ),
        (
            "fuzzing",
            "detection:Fuzzing",
            "accuracy of a judge that tells by the label if a concept is active on a unit",
            PAULO,
        ),
        (
            "simulation",
            "simulation:Simulation",
            "correlation of activity with what a judge expects by the label",
            BILLS,
        ),
        (
            "intruder",
            "intruder:Intruder",
            "how often a judge finds the one example on which a concept is not active",
            PAULO,
        ),
        (
            "embedding-match",
            "embedding_match:EmbeddingMatch",
            "AUROC of the embeddings of labels and texts in telling active ones",
            PAULO,
        ),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_label_scores.{target}",
            summary=summary,
            source=source,
            measures="interpretation",
        )
