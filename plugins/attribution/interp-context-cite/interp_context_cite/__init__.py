"""ContextCite: which sources a generated answer draws on."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare ContextCite."""
    yield Method(
        name="context-cite",
        kind="attribution",
        target="interp_context_cite.context_cite:ContextCite",
        summary="lasso regression of scores on random halves of the units",
        source="Cohen-Wang et al. 2024, arXiv:2409.00729",
        claims=frozenset({"seeded", "signed", "exact-when-small"}),
    )
