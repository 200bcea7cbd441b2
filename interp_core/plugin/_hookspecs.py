"""The only hook of the toolkit."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy
from interp_core.plugin._declaration import GROUP, Method

hookspec = pluggy.HookspecMarker(GROUP)


@hookspec
def interp_methods() -> Iterable[Method]:  # type: ignore[empty-body]
    """Yield the methods of this package. The hook has no arguments, so it cannot change incompatibly."""
