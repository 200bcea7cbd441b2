"""JSON values for other programs, without NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOT_FINITE = "Numbers that are infinite or undefined are written as null."


def without_infinities(value: Any) -> Any:
    """A JSON value in which None stands for NaN and infinity."""
    return _finite(value, noting=False)[0]


def for_json(data: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity, which JSON does not have, by None, and add a note that says so.

    Args:
        data: JSON values by name; may contain tuples, which become lists.

    Returns:
        The values. The note is added to the `notes` of the innermost dictionary around the number that has some, else
        of the outermost dictionary.

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
