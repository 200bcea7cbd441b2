"""Which official package brings a method or a command that is not installed."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The packages of `"methods"` and of `"commands"` by name, as `make packages` wrote them from the declarations."""
    text = resources.files("interp_core.plugin").joinpath("catalogue.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
