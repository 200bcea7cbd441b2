"""Loans to methods, which may read but not change what they are given: copies where these are cheap, else a check."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from interp_core.errors import ModelError
from interp_core.plugin import declaration_of
from torch import Tensor, nn

Loan = tuple[Tensor, Tensor, str, int]  # the caller's tensor, the one lent for it, its name, and its version before
COPIED = 2**24  # the most numbers of which a copy is made: 64 megabytes of float32


@contextmanager
def lent(method: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Lend values to a method for one call, so that it cannot change the caller's.

    Tensors, values that hold tensors, modules, lists and dictionaries are copied; everything else is passed unchanged.
    A tensor of more than 16 million numbers is not copied; instead, in-place operations on it are detected by the
    version counter of torch, which misses writes through a NumPy view.

    Args:
        method: the method, for the message.
        *values: the arguments of the call.

    Yields:
        The arguments to pass instead, in the same order.

    Raises:
        ModelError: the method modified one of the values.

    Examples:
        >>> from interp_core.results import lent
        >>> scores = torch.tensor([3.0, -1.0])
        >>> class Careless:
        ...     def measure(self, scores):
        ...         return scores.abs_().sum()
        >>> with lent(Careless(), scores) as (own,):
        ...     total = Careless().measure(own)
        Traceback (most recent call last):
        interp_core.errors.ModelError: Careless wrote into a tensor that it was only lent; ...
        >>> scores
        tensor([ 3., -1.])
    """
    loans: list[Loan] = []
    yield tuple(_copy(value, "", loans) for value in values)
    for own, given, where, version in loans:
        if _is_changed(own, given, version):
            declared = declaration_of(method)
            what = f"{where}, which" if where else "a tensor that"
            name = declared.name if declared else type(method).__name__
            fate = "What you hold is as it was."
            if given is own:
                fate = "It is too large to be lent as a copy, so what you hold has changed: make it again."
            raise ModelError(
                f"{name} wrote into {what} it was only lent; it must work on a copy, such as x.clone(), or without "
                f"in-place operations. {fate}"
            )


def _lend(own: Tensor, given: Tensor, where: str, loans: list[Loan]) -> None:
    loans.append((own, given, where, 0 if given.is_inference() else given._version))


def _is_changed(own: Tensor, given: Tensor, version: int) -> bool:
    if not given.is_inference() and given._version != version:
        return True
    if given is own or torch.equal(given, own):
        return False
    same_with_nan = given.shape == own.shape and bool(((given == own) | ((given != given) & (own != own))).all())
    return not same_with_nan


def _copy(value: Any, where: str, loans: list[Loan]) -> Any:
    if isinstance(value, Tensor):
        given = value.detach().clone() if value.numel() <= COPIED else value
        _lend(value, given, where, loans)
        return given
    if isinstance(value, nn.Module):
        return _copy_of_module(value, loans)
    if isinstance(value, list | dict):
        return copy.deepcopy(value)
    return _copy_of_holder(value, where or type(value).__name__, loans)


def _copy_of_module(module: nn.Module, loans: list[Loan]) -> nn.Module:
    own = module.state_dict()
    given = copy.deepcopy(module) if sum(tensor.numel() for tensor in own.values()) <= COPIED else module
    for key, tensor in given.state_dict().items():
        _lend(own[key], tensor, f"{type(module).__name__}.{key}", loans)
    return given


def _copy_of_holder(value: Any, where: str, loans: list[Loan]) -> Any:
    """A copy of an object that holds tensors; of its other parts only values that hold tensors are copied."""
    parts = getattr(value, "__dict__", {})
    if not any(isinstance(part, Tensor) for part in parts.values()):
        return value
    other = copy.copy(value)
    for name, part in parts.items():
        frozen = getattr(getattr(part, "__dataclass_params__", None), "frozen", False)
        if isinstance(part, Tensor) or (frozen and not isinstance(part, type)):
            vars(other)[name] = _copy(part, f"{where}.{name}", loans)  # not setattr, since values are frozen
    return other
