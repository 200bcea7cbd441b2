"""Values for other programs: JSON has no NaN and no infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOT_FINITE = "Numbers that are infinite or undefined are written as null."


def without_infinities(value: Any) -> Any:
    """A JSON value in which None stands for NaN and infinity."""
    return _finite(value, noting=False)[0]


def for_json(data: dict[str, Any]) -> dict[str, Any]:
    """Values that every reader of JSON takes: NaN and infinity, which JSON does not have, become None, and a note.

    Args:
        data: JSON values by name, with tuples as lists.

    Returns:
        The values. Where a number was replaced, the innermost dictionary around it that has `notes`, or else the
        outermost one, says so in them.

    Examples:
        >>> import math
        >>> from interp_core.results import for_json
        >>> for_json({"value": math.inf, "values": (1.0, math.nan), "notes": ()})
        {'value': None, 'values': [1.0, None], 'notes': ['Numbers that are infinite or undefined are written as null.']}
    """
    plain: dict[str, Any]
    plain, replaced = _finite(data, noting=True)
    if replaced:
        plain["notes"] = [NOT_FINITE]
    return plain


def _finite(value: Any, noting: bool) -> tuple[Any, bool]:
    """A JSON value without NaN and infinity, and whether some were replaced and no note says so yet."""
    if isinstance(value, float):
        return (value, False) if math.isfinite(value) else (None, True)
    if isinstance(value, list | tuple):
        items = [_finite(one, noting) for one in value]
        return [one for one, _ in items], any(replaced for _, replaced in items)
    if isinstance(value, Mapping):
        pairs = {name: _finite(one, noting) for name, one in value.items()}
        plain, replaced = {name: one for name, (one, _) in pairs.items()}, any(new for _, new in pairs.values())
        if noting and replaced and isinstance(plain.get("notes"), list):
            plain["notes"] = list(dict.fromkeys([*plain["notes"], NOT_FINITE]))
            replaced = False
        return plain, replaced
    return value, False
