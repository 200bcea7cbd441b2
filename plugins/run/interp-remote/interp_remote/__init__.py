"""Models that run behind a completions server: perturbation methods and metrics on the log-probabilities of prompts."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of its own: the package asks a server the questions of others."""
    return ()
