"""Modules that have moved: the old path warns, names the face, and lives for one minor release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

GONE = "0.3"  # the release in which the paths of 0.1 are gone


def moved(module: str, *faces: str, **renamed: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose names have moved to the faces of rooms.

    Args:
        module: the old path.
        *faces: where its names are now, tried in this order.
        **renamed: old names and what they are called now.

    Examples:
        >>> import warnings
        >>> find = moved("interp_core.intervals", "interp_core.statistics")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     found = find("interval_of_mean")
        >>> print(caught[0].message)
        interp_core.intervals has moved and goes with 0.3: from interp_core.statistics import interval_of_mean
    """

    def find(name: str) -> Any:
        current = renamed.get(name, name)
        home = next((face for face in faces if current in import_module(face).__all__), None)
        if home is None or name.startswith("__"):
            raise AttributeError(f"{module} has moved to {', '.join(faces)}, and no {name!r} is there.")
        said = f"{module} has moved and goes with {GONE}: from {home} import {current}"
        warnings.warn(said, DeprecationWarning, stacklevel=2)
        return getattr(import_module(home), current)

    return find
