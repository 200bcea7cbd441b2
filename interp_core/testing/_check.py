"""One promise of the conformance kit, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interp_core.plugin import Method

Applies = Callable[[Method], bool]
Run = Callable[[Method, Any], None]


@dataclass(frozen=True)
class Check:
    """One promise.

    Attributes:
        name: the promise as a sentence.
        mend: how to keep it.
        applies: to which declarations.
        run: raises AssertionError, or any other error, when the promise is broken; takes the declaration and an
            instance.
    """

    name: str
    mend: str
    applies: Applies
    run: Run


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    check: Check
    passed: bool
    message: str = ""
