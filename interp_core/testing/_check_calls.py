"""Checks of methods of every kind: what a call leaves as it was, and that other parameters work too."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from interp_core.attribution import Attribution
from interp_core.concepts import ConceptSpace
from interp_core.errors import BudgetError, InputError, UnsupportedError
from interp_core.plugin import Method
from interp_core.testing._calls import call, observed, small_rows
from interp_core.testing._check import Check

FEW = 3  # of steps, samples and the like, where another number is tried


def surroundings_are_left(method: Method, instance: Any) -> None:
    """Random states, threads, default dtype, gradient mode, environment and warnings are the same after a call."""
    left = observed(method, instance).left
    assert not left, f"after the call it is not as it was: {'; '.join(left)}"


def what_is_handed_stays(method: Method, instance: Any) -> None:
    """What the method is handed is the same after a call."""
    written = observed(method, instance).written
    assert not written, written


def other_parameters_work(method: Method, instance: Any) -> None:
    """With every parameter away from its default a call gives a result, or refuses in words."""
    moved = away_from_defaults(instance)
    if moved == instance:
        return
    try:
        result = call(method, moved)
    except (InputError, UnsupportedError, BudgetError):
        return
    except Exception as error:
        raise AssertionError(f"{moved} fails: {type(error).__name__}: {error}") from error
    if isinstance(result, Attribution):
        assert bool(torch.isfinite(result.scores).all()), f"{moved} gives scores that are not finite"
    if isinstance(result, ConceptSpace):
        _saved_as_it_is(method, moved, result)


def _saved_as_it_is(method: Method, moved: Any, space: ConceptSpace) -> None:
    rows = small_rows(method).matrix()[:20]
    with tempfile.TemporaryDirectory() as folder:
        loaded = ConceptSpace.load(space.save(Path(folder) / "space.safetensors"))
    assert torch.equal(loaded.encode(rows), space.encode(rows)), f"of {moved} the codes differ after loading"
    assert torch.equal(loaded(rows), space(rows)), f"of {moved} the reconstructions differ after loading"


def away_from_defaults(instance: Any) -> Any:
    """The method with another value for every parameter of which another value can be guessed and is not refused."""
    for field in dataclasses.fields(instance) if dataclasses.is_dataclass(instance) else ():
        if not field.init or field.name == "concepts":  # how many concepts are learnt has a check of its own
            continue
        for value in _others(instance, field):
            try:
                instance = dataclasses.replace(instance, **{field.name: value})
                break
            except Exception:
                continue
    return instance


def _others(instance: Any, field: dataclasses.Field[Any]) -> Iterator[Any]:
    """Other values that a parameter may take."""
    value, text = getattr(instance, field.name), str(field.type)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (FEW, value + 1, value - 1) if value > FEW else (value + 1, value - 1)
    elif isinstance(value, float):
        yield from (0.75 * value, 0.5, 2.0)
    elif isinstance(value, str) and field.name not in ("device", "path"):
        yield from (name for name in _named_in_the_refusal(instance, field.name) if name != value)
    elif value is None:
        yield from (0.5,) if "float" in text else (2,) if "int" in text else ()


def _named_in_the_refusal(instance: Any, parameter: str) -> list[str]:
    """The values that a method says it takes, when it is given one that it does not know."""
    try:
        dataclasses.replace(instance, **{parameter: "unheard of"})
    except Exception as error:
        return [name for name in re.findall(r"'([^']+)'", str(error)) if name not in ("unheard of", parameter)]
    return []


def _always(_method: Method) -> bool:
    return True


CHECKS = (
    Check(
        "its surroundings are left as they were",
        "Draw from torch.Generator or numpy.random.default_rng; never seed or set anything global, or put it back.",
        _always,
        surroundings_are_left,
    ),
    Check(
        "what it is handed is not changed",
        "Work on a copy (x.clone()), or without in-place operations.",
        _always,
        what_is_handed_stays,
    ),
    Check(
        "other parameters work too",
        "Try each parameter away from its default; refuse what cannot work by an InputError.",
        _always,
        other_parameters_work,
    ),
)
