"""Top-level names of `interp_core` that packages provide by entry points, such as `interp.Pipeline`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from interp_core.errors import nearest
from interp_core.plugin._catalogue import catalogue

NAMES = "interp.names"
_FOUND: dict[str, Any] = {}  # what was imported


def names() -> list[str]:
    """List the top-level names of `interp_core` that installed packages provide, without importing them.

    Returns:
        The names, sorted.

    Examples:
        >>> from interp_core.plugin import names
        >>> "Pipeline" in names()
        True
    """
    return sorted({entry.name for entry in entry_points(group=NAMES)})


def packaged(name: str, own: list[str]) -> Any:
    """Import the value that a package provides under a top-level name.

    Args:
        name: the name.
        own: the names of the core, for the suggestion where a name is misspelt.

    Returns:
        The value, imported from the package.

    Raises:
        AttributeError: no installed package provides the name, or several do; the message names the packages.

    Examples:
        >>> from interp_core.plugin import packaged
        >>> packaged("Pipeline", []).__module__
        'interp_pipeline.pipeline'
    """
    if name in _FOUND:
        return _FOUND[name]
    found = list(entry_points(group=NAMES, name=name))
    if len(found) > 1:
        several = " and ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in found))
        raise AttributeError(f"interp_core.{name} is brought by {several}; uninstall all but one.", name=name)
    if found:
        try:
            _FOUND[name] = found[0].load()
        except Exception as error:
            owner = found[0].dist.name if found[0].dist else found[0].value
            reason = f"{type(error).__name__}: {error}"
            raise AttributeError(f"interp_core.{name} of {owner} is broken: {reason}", name=name) from error
        return _FOUND[name]
    package = catalogue()["names"].get(name)
    if package is not None:
        raise AttributeError(f"interp_core.{name} is in a separate package: pip install {package}.", name=name)
    raise AttributeError(f"interp_core has no {name!r}.{nearest(name, [*own, *names()])}", name=name)
