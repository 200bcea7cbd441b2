"""The official packages that provide methods, commands and names of the top, installed or not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """The official packages of all methods, commands and names at the top, as `make packages` collected them.

    Returns:
        Under `"methods"`, `"commands"` and `"names"`, the package that provides each, by name. Read-only.

    Examples:
        >>> from interp_core.plugin import catalogue
        >>> catalogue()["methods"]["lime"], catalogue()["commands"]["demo"]
        ('interp-lime', 'interp-demo')
    """
    import json  # when a name is not known, and not in a listing
    from importlib import resources

    text = resources.files("interp_core.plugin").joinpath("catalogue.json").read_text(encoding="utf-8")
    return MappingProxyType({kind: MappingProxyType(names) for kind, names in json.loads(text).items()})
