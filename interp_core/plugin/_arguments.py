"""Checks of the arguments of functions and of the parameters of methods, with messages that say what is wrong."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from interp_core.errors import InputError, nearest

P = ParamSpec("P")
R = TypeVar("R")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_LEAST = {"concepts": 1, "seed": 0}  # parameters whose range is the same for every method
_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a string",
    types.NoneType: "None",
}


def arguments_of(verb: Callable[..., Any]) -> list[str]:
    """The arguments of a function that can be given by name."""
    return [p.name for p in _parameters(verb) if p.kind in _BY_NAME]


def suggestion(
    name: str,
    parameters: Iterable[str],
    verb: Callable[..., Any] | None = None,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What an unknown name may stand for, a parameter of the method or an argument of the verb, in a sentence or two.

    `renamed` leads from parameters of earlier releases to their names now. Without a name that is alike, all arguments
    of the verb are listed.
    """
    if name in renamed:
        return f" {name!r} is called {renamed[name]!r} now."
    fields, options = list(parameters), arguments_of(verb) if verb is not None else []
    near = nearest(name, [*fields, *options])
    if not near:
        return f" The options of {_name(verb)} are {', '.join(options)}." if options else ""
    of_verb = not any(repr(field) in near for field in fields)
    return f"{near[:-1]}, an option of {_name(verb)}?" if of_verb else near


def named_options(verb: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that wrong arguments raise an `InputError` that suggests the most similar name.

    Args:
        verb: the function. Names that its `**parameters` take are left to it, unless an argument is missing.

    Returns:
        The function, which raises an `InputError` instead of a `TypeError` for arguments that are unknown, missing or
        too many.

    Raises:
        InputError: in a call of the returned function, the arguments do not fit.

    Examples:
        >>> from interp_core.plugin import named_options
        >>> @named_options
        ... def explain(text, *, progress=True, max_rows=None):
        ...     return text
        >>> explain("so sad", progres=False)
        Traceback (most recent call last):
        interp_core.errors.InputError: explain has no option 'progres'; its options are text, progress, max_rows.
        Did you mean 'progress'?
        >>> explain(progress=False)
        Traceback (most recent call last):
        interp_core.errors.InputError: explain needs 'text', which is missing.
    """
    signature = inspect.signature(verb)

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            given = args[1:] if "self" in signature.parameters else args
            raise InputError(_misfit(verb, given, kwargs) or f"{_name(verb)}: {error}.") from None
        return verb(*args, **kwargs)

    return call


def check_types(made: type, values: Mapping[str, Any], name: str) -> None:
    """Refuse values of another type than the fields of a dataclass declare.

    Args:
        made: the class; one that is not a dataclass declares nothing.
        values: the values by name of the field.
        name: the name of the method, for the message.

    Raises:
        InputError: a value has another type, is NaN or infinite, or is a number of concepts or a seed below the least.
    """
    declared = _types_of(made)
    for field, value in values.items():
        if field in declared and not _fits(value, declared[field]):
            choices = [str(choice) for kind in _kinds(declared[field]) for choice in typing.get_args(kind)]
            expected = " or ".join(_words(kind) for kind in _kinds(declared[field]))
            said = f"of type {type(value).__name__}" if _may_be_secret(made, field) else _shown(value)
            raise InputError(f"{name!r}: {field} is {said}; {expected} was expected.{nearest(value, choices)}")
        if field in declared and field in _LEAST and isinstance(value, Integral) and value < _LEAST[field]:
            raise InputError(f"{name!r}: {field} is {value}; a whole number of at least {_LEAST[field]} is needed.")


def check_fields(instance: Any) -> None:
    """Check that the values of a dataclass have the types of their fields, in the first line of `__post_init__`.

    Args:
        instance: an instance of a dataclass.

    Raises:
        InputError: a value has another type or is NaN or infinite, or a number of concepts or a seed is too small.

    Examples:
        >>> from dataclasses import dataclass
        >>> from interp_core.plugin import check_fields
        >>> @dataclass(frozen=True)
        ... class Mine:
        ...     samples: int = 10
        ...
        ...     def __post_init__(self) -> None:
        ...         check_fields(self)
        >>> Mine(samples="many")
        Traceback (most recent call last):
        interp_core.errors.InputError: 'Mine': samples is 'many'; a whole number was expected.
    """
    check_types(type(instance), values_of(instance), type(instance).__name__)


def values_of(instance: Any) -> dict[str, Any]:
    """The values of the fields of a dataclass that its constructor takes; empty for other objects."""
    if not dataclasses.is_dataclass(instance):
        return {}
    fields = [f.name for f in dataclasses.fields(instance) if f.init]
    return {name: getattr(instance, name) for name in fields if hasattr(instance, name)}


def _misfit(verb: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """What is wrong with the arguments of a call, in a sentence or two."""
    parameters, names = _parameters(verb), arguments_of(verb)
    strange = [name for name in kwargs if name not in names]
    if strange and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        known = f"{_name(verb)} has no option {strange[0]!r}; its options are {', '.join(names)}."
        return known + nearest(strange[0], names)
    places = [p.name for p in parameters if p.kind in _BY_PLACE]
    given = {*places[: len(args)], *kwargs}
    missing = [
        p.name
        for p in parameters
        if p.name not in given and p.default is inspect.Parameter.empty and p.kind in (*_BY_PLACE, *_BY_NAME)
    ]
    for name in strange:
        if near := nearest(name, missing):
            return f"{_name(verb)} needs {_listed(missing)}, and has no argument {name!r}.{near}"
    if missing:
        beside = f" {_listed(strange)} cannot stand for it; the arguments are {', '.join(names)}." if strange else ""
        return f"{_name(verb)} needs {_listed(missing)}, which {'is' if len(missing) == 1 else 'are'} missing.{beside}"
    twice = [name for name in places[: len(args)] if name in kwargs]
    if twice:
        return f"{_name(verb)} was given {_listed(twice)} twice, by place and by name."
    if len(args) > len(places):
        rest = [name for name in names if name not in places]
        return (
            f"{_name(verb)} takes {len(places)} arguments by place ({', '.join(places)}) and was given {len(args)}; "
            f"give the others by name: {', '.join(rest) or 'there are none'}."
        )
    return ""


def _parameters(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(verb).parameters.values()
    return [p for p in parameters if p.name not in ("self", "cls")]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _name(verb: Any) -> str:
    return str(getattr(verb, "__name__", verb))


@functools.cache
def _types_of(made: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(made):
        return {}
    try:
        hints = typing.get_type_hints(made)
    except Exception:  # an annotation that cannot be read promises nothing
        return {}
    return {f.name: hints[f.name] for f in dataclasses.fields(made) if f.name in hints}


def _may_be_secret(made: type, field: str) -> bool:
    """Whether what stands in a field should not be repeated: it is not shown, or holds headers and the like."""
    shown = {f.name: f.repr for f in dataclasses.fields(made)}
    return not shown[field] or any(typing.get_origin(kind) is Mapping for kind in _kinds(_types_of(made)[field]))


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    return any(_is(value, kind) for kind in _kinds(hint))


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a type. Of types other than the plain ones nothing is claimed."""
    if kind in (int, float):  # True is no number here, though Python counts with it
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")  # of numpy, which is not imported
    if kind in (str, types.NoneType):
        return isinstance(value, kind)
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return any(value == choice and type(value) is type(choice) for choice in inside)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        items = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        return items and _items_fit(value, inside)
    return True


def _items_fit(value: Any, inside: tuple[Any, ...]) -> bool:
    each = [one for one in inside if one is not Ellipsis]
    if len(each) > 1:  # a tuple of that many
        return hasattr(value, "__len__") and len(value) == len(each) and all(map(_fits, value, each))
    return all(_fits(one, kind) for kind in each for one in value)


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    inside = [_words(one) for one in typing.get_args(kind) if one is not Ellipsis]
    if typing.get_origin(kind) in (Mapping, dict):
        return "a mapping"
    if len(inside) > 1:
        return f"{len(inside)} values ({', '.join(inside)})"
    return _WORDS.get(kind) or (f"a sequence, each {inside[0]}," if inside else str(getattr(kind, "__name__", kind)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"of type {type(value).__name__}"
