"""A client for OpenAI and compatible servers."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the client."""
    yield Method(
        name="openai",
        kind="llm",
        target="interp_openai.client:OpenAI",
        summary="OpenAI, or any server with the same chat completions",
        source="OpenAI API reference, chat completions",
    )
