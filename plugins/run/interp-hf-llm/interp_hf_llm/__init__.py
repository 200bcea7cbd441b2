"""A local chat model that is asked."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the client."""
    yield Method(
        name="hf-llm",
        kind="llm",
        target="interp_hf_llm.hf_llm:HFLLM",
        summary="a local Hugging Face chat model, asked in batches without a server",
        source="the definition of greedy decoding, and the Gumbel-max trick (Gumbel 1954) for draws",
    )
