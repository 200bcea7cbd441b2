"""The tokens that the direction of a concept raises and lowers."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the interpretation through the vocabulary."""
    yield Method(
        name="vocabulary-projection",
        kind="interpretation",
        target="interp_vocabulary_projection.vocabulary_projection:VocabularyProjection",
        summary="the tokens that a concept's direction raises and lowers in the model's output",
        source="Geva et al. 2022, arXiv:2203.14680; nostalgebraist 2020, the logit lens",
        needs=frozenset({"model"}),
    )
