"""What of a model's answers survives when its activations are made of concepts alone."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare loss, logits and accuracy kept."""
    for name, target, summary, source in (
        (
            "loss-recovered",
            "LossRecovered",
            "share of the loss caused by zeros that reconstructions save",
            "Bricken et al. 2023, Transformer Circuits, Towards Monosemanticity",
        ),
        (
            "logit-recovered",
            "LogitRecovered",
            "how close reconstructions keep the logits, compared with zeros",
            "definition",
        ),
        (
            "concept-completeness",
            "ConceptCompleteness",
            "accuracy kept by concepts alone, between chance and the model's own",
            "Yeh et al. 2020, arXiv:1910.07969",
        ),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_recovered.recovered:{target}",
            summary=summary,
            source=source,
            needs=frozenset({"model"}),
            measures="concepts",
        )
