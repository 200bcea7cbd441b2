"""The checks of the conformance kit and their outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interp_core.plugin import Method

Applies = Callable[[Method], bool]
Run = Callable[[Method, Any], None]


@dataclass(frozen=True)
class Check:
    """A check of one promise of methods.

    Attributes:
        name: the promise, as a sentence.
        mend: what to do if the promise is broken.
        applies: a function from a declaration to whether its method makes the promise.
        run: a function of a declaration and an instance, which raises an AssertionError, or any other error, if the
            promise is broken.

    Examples:
        >>> from interp_core.plugin import find_method
        >>> from interp_core.testing import checks_for
        >>> occlusion = find_method("occlusion")
        >>> check = next(c for c in checks_for(occlusion) if c.name == "the planted word is first")
        >>> check.run(occlusion, interp.method("occlusion"))  # no error: the promise is kept
    """

    name: str
    mend: str
    applies: Applies
    run: Run


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes:
        check: the check.
        passed: whether the promise is kept.
        message: what went wrong; empty if the promise is kept.

    Examples:
        >>> from interp_core.testing import run_checks
        >>> outcome = next(o for o in run_checks("lime", samples=2) if not o.passed)
        >>> outcome.message
        'unit 0 of 2 is the only one that counts, and its score is 0'
    """

    check: Check
    passed: bool
    message: str = ""
