"""Declares methods that keep their promises and methods that break one, with the check that must catch each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from interp_core.plugin import Method

C = TypeVar("C", bound=type)


class Planted(NamedTuple):
    """A method, and the name of the check that catches it; None for one that keeps all promises."""

    declaration: Method
    caught_by: str | None


METHODS: list[Planted] = []


def right(kind: str, **declared: Any) -> Callable[[C], C]:
    """Declare a method that keeps all promises."""
    return _planted(kind, None, declared)


def wrong(kind: str, caught_by: str, **declared: Any) -> Callable[[C], C]:
    """Declare a method that breaks the promise of one check; others may catch it too."""
    return _planted(kind, caught_by, declared)


def _planted(kind: str, caught_by: str | None, declared: dict[str, Any]) -> Callable[[C], C]:
    sets = {name: frozenset(declared.pop(name, ())) for name in ("claims", "needs")}

    def declare(made: C) -> C:
        name = "".join(f"-{c.lower()}" if c.isupper() else c for c in made.__name__).strip("-")
        target = f"{made.__module__}:{made.__name__}"
        summary = str(made.__doc__).partition("\n")[0][:80]
        about = {"name": name, "kind": kind, "target": target, "summary": summary, "source": "definition"}
        METHODS.append(Planted(Method(**about, **sets, **declared), caught_by))
        return made

    return declare
