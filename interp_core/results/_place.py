"""Look-up of an item of a result by its name or number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interp_core.errors import InputError, nearest


def place_of(asked: Any, names: Sequence[str], what: str, owner: str) -> int:
    """Look up an item of a result by its name or number.

    Args:
        asked: the name, or the number (negative from the end).
        names: the names of the items, in order.
        what: the noun for an item, for the message.
        owner: the thing that has the items, for the message.

    Returns:
        The number of the item, from 0.

    Raises:
        InputError: there is no such item; the message lists the first names.

    Examples:
        >>> from interp_core.results import place_of
        >>> place_of("joy", ["sadness", "joy"], "target", "this attribution"), place_of(-1, ["sadness", "joy"], "", "")
        (1, 1)
        >>> place_of("jo", ["sadness", "joy"], "target", "this attribution")
        Traceback (most recent call last):
        interp_core.errors.InputError: there is no target 'jo'; this attribution has 2: sadness, joy.
        Did you mean 'joy'?
    """
    if isinstance(asked, str):
        if asked in names:
            return list(names).index(asked)
    elif not isinstance(asked, bool) and hasattr(asked, "__index__") and -len(names) <= int(asked) < len(names):
        return int(asked) % len(names)
    listed = ", ".join([*names[:20], *("…" for _ in names[20:21])])
    near = nearest(asked, names) if isinstance(asked, str) else ""
    raise InputError(f"there is no {what} {asked!r}; {owner} has {len(names)}: {listed}.{near}")
