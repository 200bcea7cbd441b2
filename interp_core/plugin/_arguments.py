"""Suggestions for misspelt arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from interp_core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def options_of(verb: Callable[..., Any]) -> list[str]:
    """The names of the keyword-only arguments of a function."""
    parameters = inspect.signature(verb).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def suggestion(
    name: str,
    parameters: Iterable[str],
    verb: Callable[..., Any] | None = None,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What an unknown name may stand for, a parameter of the method or an option of the verb, as a sentence.

    `renamed` leads from parameters of earlier releases to their names now.
    """
    if name in renamed:
        return f" {name!r} is called {renamed[name]!r} now."
    fields, options = list(parameters), options_of(verb) if verb is not None else []
    import difflib

    near = difflib.get_close_matches(name, [*fields, *options], n=1)
    if not near:
        return ""
    return (
        f" Did you mean {near[0]!r}?"
        if near[0] in fields
        else f" Did you mean {near[0]!r}, an option of {_name(verb)}?"
    )


def named_options(verb: Callable[P, R]) -> Callable[P, R]:
    """Make a function answer an unknown option with the most similar one.

    Args:
        verb: a function with keyword-only options.

    Returns:
        The function. It raises an `InputError`, in place of a `TypeError`, for options that it does not have.

    Raises:
        InputError: in a call of the returned function, an option is unknown.

    Examples:
        >>> from interp_core.plugin import named_options
        >>> @named_options
        ... def explain(text, *, progress=True, max_rows=None):
        ...     return text
        >>> explain("so sad", progres=False)
        Traceback (most recent call last):
        interp_core.errors.InputError: explain has no option 'progres'; its options are progress, max_rows.
        Did you mean 'progress'?
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
