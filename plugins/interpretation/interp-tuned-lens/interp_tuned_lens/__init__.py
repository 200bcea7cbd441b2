"""The tuned lens: an affine translator for each block, learnt so that the head can read its states."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """No method of a kind: the package brings `interp.fit_tuned_lens` and `interp.TunedLens`."""
    return ()
