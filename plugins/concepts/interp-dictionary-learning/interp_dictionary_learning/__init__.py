"""Dictionary learning with the lasso."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare dictionary learning."""
    yield Method(
        name="dictionary-learning",
        kind="concepts",
        target="interp_dictionary_learning.dictionary_learning:DictionaryLearning",
        summary="activations as sparse sums of directions",
        source="Mairal, Bach, Ponce, Sapiro 2009, ICML, doi:10.1145/1553374.1553463",
        claims=frozenset({"seeded", "decodes", "recovers"}),
    )
