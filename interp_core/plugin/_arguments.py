"""Names of arguments that are not known, answered with the nearest that is."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from interp_core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def options_of(verb: Callable[..., Any]) -> list[str]:
    """The keyword-only arguments of a function."""
    found = inspect.signature(verb).parameters.values()
    return [p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY]


def suggestion(name: str, parameters: Iterable[str], verb: Callable[..., Any] | None = None) -> str:
    """What may have been meant by an unknown name: a parameter of the method, or an option of the verb."""
    fields, options = list(parameters), options_of(verb) if verb is not None else []
    near = difflib.get_close_matches(name, [*fields, *options], n=1)
    if not near:
        return ""
    return (
        f" Did you mean {near[0]!r}?"
        if near[0] in fields
        else f" Did you mean {near[0]!r}, an option of {_name(verb)}?"
    )


def named_options(verb: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses options it does not have, and names the nearest.

    Raises:
        InputError: when called with an option that is not there.
    """
    known = inspect.signature(verb).parameters

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        unknown = next((name for name in kwargs if name not in known), None)
        if unknown is not None:
            options = options_of(verb)
            hint = suggestion(unknown, options)
            raise InputError(f"{_name(verb)} has no option {unknown!r}; its options are {', '.join(options)}.{hint}")
        return verb(*args, **kwargs)

    return call


def _name(verb: Any) -> str:
    return str(getattr(verb, "__name__", verb))
