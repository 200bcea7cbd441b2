"""The inputs, words and tokens where a concept is most active."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the interpretations by top inputs and by the vocabulary."""
    yield Method(
        name="top-inputs",
        kind="interpretation",
        target="interp_top_inputs.top_inputs:TopInputs",
        summary="the units where a concept is most active, and the words that raise it",
        source="definition",
    )
    yield Method(
        name="top-vocabulary",
        kind="interpretation",
        target="interp_top_inputs.top_vocabulary:TopVocabulary",
        summary="the tokens that activate a concept most, each read as a text of its own",
        source="definition; the inputs of interpreto's TopKInputs",
        needs=frozenset({"model"}),
    )
