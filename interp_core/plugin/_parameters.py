"""The values of the parameters of a method, checked against the types that its dataclass declares."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any

from interp_core.errors import InputError, nearest

_LEAST = {"concepts": 1, "seed": 0}  # parameters whose range is the same for every method
_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a string",
    types.NoneType: "None",
}


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
            raise InputError(f"{name!r}: {field} is {_shown(value)}; {expected} was expected.{nearest(value, choices)}")
        if field in declared and field in _LEAST and isinstance(value, Integral) and value < _LEAST[field]:
            raise InputError(f"{name!r}: {field} is {value}; a whole number of at least {_LEAST[field]} is needed.")


def values_of(instance: Any) -> dict[str, Any]:
    """The values of the fields of a dataclass that its constructor takes; empty for other objects."""
    if not dataclasses.is_dataclass(instance):
        return {}
    fields = [f.name for f in dataclasses.fields(instance) if f.init]
    return {name: getattr(instance, name) for name in fields if hasattr(instance, name)}


@cache
def _types_of(made: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(made):
        return {}
    try:
        hints = typing.get_type_hints(made)
    except Exception:  # an annotation that cannot be read promises nothing
        return {}
    return {f.name: hints[f.name] for f in dataclasses.fields(made) if f.name in hints}


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
    if isinstance(origin, type) and issubclass(origin, Iterable) and not issubclass(origin, Mapping):
        each = [one for one in inside if one is not Ellipsis]
        items = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        return items and (len(each) != 1 or all(_fits(one, each[0]) for one in value))
    return True


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    inside = [_words(one) for one in typing.get_args(kind) if one is not Ellipsis]
    return _WORDS.get(kind) or (f"a sequence, each {inside[0]}," if inside else str(getattr(kind, "__name__", kind)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"of type {type(value).__name__}"
