"""The logit lens: what a model would answer if it stopped at each of its blocks."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of a kind: the package brings `interp.logit_lens`, `interp.Lens` and the command `interp lens`."""
    return ()
