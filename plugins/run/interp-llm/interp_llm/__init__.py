"""Asking language models, and one that follows a script."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the scripted model."""
    yield Method(
        name="scripted",
        kind="llm",
        target="interp_llm.scripted:Scripted",
        summary="a script in place of a language model, or a dry run: what is sent and costs",
        source="the definition",
    )
