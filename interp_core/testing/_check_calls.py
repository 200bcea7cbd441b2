"""Checks of methods of every kind: that a call has no side effects, and that other parameters work too."""

from __future__ import annotations

from typing import Any

from interp_core.plugin import Method
from interp_core.testing._calls import observed, with_other_parameters
from interp_core.testing._check import Check


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
    moved, result = with_other_parameters(method, instance)
    assert not isinstance(result, Exception), f"{moved} fails: {type(result).__name__}: {result}"


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
