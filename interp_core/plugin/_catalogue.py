"""The official packages that provide methods, commands and top-level names, installed or not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """List the official packages of all methods, commands and top-level names, as collected by `make packages`.

    Returns:
        A read-only mapping: under `"methods"`, `"commands"` and `"names"`, the package that provides each name.

    Examples:
        >>> from interp_core.plugin import catalogue
        >>> catalogue()["methods"]["lime"], catalogue()["commands"]["demo"]
        ('interp-lime', 'interp-demo')
    """
    import json  # when a name is not known, and not in a listing
    from importlib import resources

    text = resources.files("interp_core.plugin").joinpath("catalogue.json").read_text(encoding="utf-8")
    return MappingProxyType({kind: MappingProxyType(names) for kind, names in json.loads(text).items()})
