"""Scores of the labels of concepts."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

PAULO = "Paulo et al. 2024, arXiv:2410.13928"
BILLS = "Bills et al. 2023, Language models can explain neurons in language models"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the scores of labels."""
    for name, target, summary, source in (
        ("detection", "detection:Detection", "whether a judge tells by its label which texts have a concept", PAULO),
        ("fuzzing", "detection:Fuzzing", "whether a judge tells by its label on which unit a concept is active", PAULO),
        ("simulation", "simulation:Simulation", "correlation of activity and what a judge expects by a label", BILLS),
        ("intruder", "intruder:Intruder", "whether a judge finds the one example that is not of a concept", PAULO),
        ("embedding-match", "embedding_match:EmbeddingMatch", "whether a label embeds nearer to its texts", PAULO),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_label_scores.{target}",
            summary=summary,
            source=source,
            measures="interpretation",
        )
