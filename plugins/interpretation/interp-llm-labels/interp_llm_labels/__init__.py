"""Labels of concepts by a language model."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare LLM labels."""
    yield Method(
        name="llm-labels",
        kind="interpretation",
        target="interp_llm_labels.labels:LLMLabels",
        summary="a language model names each concept from where it is active",
        source="Bills et al. 2023, Language models can explain neurons in language models",
    )
