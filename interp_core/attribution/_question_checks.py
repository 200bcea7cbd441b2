"""Checks of the arguments of a question; each error says what was given and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from interp_core.attribution._options import Options
from interp_core.errors import InputError, nearest
from interp_core.model import GENERATORS, ServedModel, WrappedModel
from torch import Tensor

OF_THE_RUNNER = ("x", "baseline", "unit_of", "units", "targets", "removal")


def check_features(name: str, values: Any, shape: tuple[int | str, ...], like: str = "") -> None:
    """Refuse what is not a tensor of numbers with these dimensions; a letter stands for any size.

    Raises:
        InputError: it is something else; `like` says in the message what it must fit.
    """
    if isinstance(values, Tensor) and values.dtype != torch.bool and _has_shape(values, shape):
        return
    raise InputError(f"{name} is {described(values)}; numbers {_dimensions(shape)} were expected{like}.")


def check_keep(keep: Any, units: int) -> None:
    """Refuse what is not one row of booleans for each variant, with one for each unit.

    Raises:
        InputError: it is something else.
    """
    if isinstance(keep, Tensor) and keep.ndim == 2 and keep.shape[1] != units:
        raise InputError(f"keep has {keep.shape[1]} columns; this question has {units} units.")
    if not (isinstance(keep, Tensor) and keep.ndim == 2 and keep.dtype == torch.bool):
        raise InputError(
            f"keep is {described(keep)}; a tensor of booleans {_dimensions(('p', units))} was expected: a row for each "
            "variant, False for the units that are removed."
        )


def check_budget(max_rows: Any) -> None:
    """Refuse a limit on rows that is not None or a whole number of at least 1.

    Raises:
        InputError: it is something else.
    """
    if max_rows is not None:
        check_count("max_rows", max_rows, 1)


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse what is not a whole number of at least so many.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}; a whole number of at least {least} is needed.")


def check_parts(question: Any, intact: Any) -> None:
    """Refuse parts of a question that do not fit each other.

    Raises:
        InputError: there are no units, or a part has another shape or kind.
    """
    x, unit_of, units = question.x, question.unit_of, question.units
    if not units:
        raise InputError("a question needs at least one unit.")
    check_features("x", x, ("f", "d"))
    check_features("baseline", question.baseline, tuple(x.shape), ", as x has")
    if not isinstance(unit_of, Tensor) or unit_of.shape != x.shape[:1] or unit_of.is_floating_point():
        raise InputError(
            f"unit_of is {described(unit_of)}; the number of a unit for each of {len(x)} features was expected."
        )
    if len(unit_of) and not -1 <= int(unit_of.min()) <= int(unit_of.max()) < len(units):
        raise InputError(
            f"unit_of has numbers from {int(unit_of.min())} to {int(unit_of.max())}; there are {len(units)} units, "
            f"0 to {len(units) - 1}, and -1 stands for none."
        )
    sizes, applicable = (len(question.targets), len(units)), question.applicable
    if not isinstance(applicable, Tensor) or applicable.dtype != torch.bool or tuple(applicable.shape) != sizes:
        raise InputError(f"applicable is {described(applicable)}; booleans {_dimensions(sizes)} were expected.")
    if isinstance(question._grouping, Tensor):
        check_features("groups", question._grouping, sizes[1:], ", the number of a group for each unit")
    if intact is not None:
        check_features("intact", intact, sizes[:1], ", a score for each target")
    if question.background is not None:
        check_features("background", question.background, ("r", x.shape[1]), ", as wide as x")


def check_changes(changes: Mapping[str, Any], parts: Sequence[str]) -> None:
    """Refuse to replace what a question does not have, or what its runner computes with.

    Raises:
        InputError: a name is not among the parts, or the runner is needed and not given.
    """
    unknown = next((name for name in changes if name not in parts), None)
    if unknown is not None:
        raise InputError(
            f"a Question has no part {unknown!r}; its parts are {', '.join(parts)}.{nearest(unknown, parts)}"
        )
    owned = next((name for name in changes if name in OF_THE_RUNNER), None)
    if owned is not None and "runner" not in changes:
        moved = ", or ask question.moved(x)" if owned == "x" else ""
        raise InputError(
            f"the runner of this question computes with its own {owned!r}, so that replacing {owned!r} alone would not "
            f"change the scores; give `runner=` too{moved}."
        )


def instead(name: str, parts: Sequence[str]) -> str:
    """What to ask instead of setting a part, as a sentence; empty where there is nothing to ask."""
    if name == "x":
        return " Ask question.moved(x)."
    if name == "max_rows":
        return " Ask question.with_budget(max_rows)."
    if name in OF_THE_RUNNER:
        return f" Ask question.replace({name}=…, runner=…)."
    return f" Ask question.replace({name}=…)." if name in parts else ""


def described(value: Any) -> str:
    """A tensor by its type and shape, anything else by its `repr` if that is short."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else f"of type {type(value).__name__}"


def _has_shape(values: Tensor, shape: tuple[int | str, ...]) -> bool:
    sizes = zip(values.shape, shape, strict=False)
    return values.ndim == len(shape) and all(isinstance(size, str) or size == have for have, size in sizes)


def _dimensions(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def check_for_generators(model: WrappedModel | ServedModel, options: Options) -> None:
    """Refuse options about a continuation that would change nothing, or that no continuation can have.

    Raises:
        InputError: the model does not generate, and one was given; or `max_new_tokens` is not a number of tokens.
    """
    if model.head in GENERATORS:
        check_count("max_new_tokens", options.max_new_tokens, 1)
        return
    for name in ("output", "max_new_tokens"):
        given = getattr(options, name)
        if given != getattr(Options, name):
            raise InputError(
                f"{name}={given!r} is for models that generate text, and {model.name} does not; leave it out."
            )


def check_components(options: Options, granularity: Any) -> None:
    """Refuse options about components that do not fit each other.

    Raises:
        InputError: a reference is missing, or was given without components, or an option about words was given.
    """
    if options.over is None:
        given = [name for name in ("reference", "align") if getattr(options, name) is not None]
        if given:
            raise InputError(f"{given[0]}= is about components of the model; give over=, such as over='heads'.")
        return
    if options.reference is None:
        raise InputError("over= needs a reference: another text, 'mean' or 'zero', which closed gates let through.")
    chosen = options.removal != "auto", granularity != "word", options.units is not None
    name = next((name for name, own in zip(("removal", "granularity", "units"), chosen, strict=True) if own), None)
    if name is not None:
        raise InputError(
            f"{name}= is about the words of a text, and over= about components of the model; leave it out."
        )
