"""Modules that have moved: the old path works for one more minor release, with a warning that names the new path."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from interp_core.errors import nearest

GONE = "0.3"  # the release that removes the paths of 0.1


def moved(module: str, *faces: str, **renamed: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a module whose names have moved.

    The module also gets a `__dir__`, for `dir` and completion.

    Args:
        module: the old path.
        *faces: the modules that have its names now, tried in this order.
        **renamed: the current name of each name that has changed.

    Returns:
        A function from an old name to its value. It issues a `DeprecationWarning` with the new import, and raises an
        `AttributeError` for a name that no face has.

    Examples:
        >>> import warnings
        >>> from interp_core.plugin import moved
        >>> find = moved("interp_core.intervals", "interp_core.statistics")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     interval_of_mean = find("interval_of_mean")
        >>> print(caught[0].message)
        interp_core.intervals has moved and goes with 0.3: from interp_core.statistics import interval_of_mean
    """

    def names() -> list[str]:
        return sorted({*renamed, *(name for face in faces for name in import_module(face).__all__)})

    def find(name: str) -> Any:
        if name == "__all__":
            return names()
        current = renamed.get(name, name)
        home = next((face for face in faces if current in import_module(face).__all__), None)
        if home is None or name.startswith("__"):
            hint = "" if name.startswith("__") else nearest(name, names())
            raise AttributeError(f"{module} has moved to {', '.join(faces)}, which has no {name!r}.{hint}")
        message = f"{module} has moved and goes with {GONE}: from {home} import {current}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(import_module(home), current)

    if module in sys.modules:
        vars(sys.modules[module])["__dir__"] = names
    return find
