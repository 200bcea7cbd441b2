"""What a method is handed it may read, not change: it gets copies where these are cheap, and is watched elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import torch
from interp_core.errors import ModelError
from interp_core.plugin import declaration_of
from torch import Tensor, nn

COPIED = 2**24  # the most numbers of which a copy is made: 64 megabytes of float32


@contextmanager
def lent(method: Any, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Hand values to a method for one call, so that it cannot change what the caller holds.

    Tensors, values that hold tensors, modules, lists and dictionaries are copied; everything else is handed as it is. A
    tensor of more than 16 million numbers is not copied: it is watched by the counter that torch keeps of in-place
    operations, which writes through a NumPy view do not move.

    Args:
        method: the method, for the message.
        *values: what it is called with.

    Yields:
        What to call it with, in the same order.

    Raises:
        ModelError: the method wrote into one of the values.

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
    loans: list[_Loan] = []
    yield tuple(_copy(value, "", loans) for value in values)
    changed = next((loan for loan in loans if loan.changed()), None)
    if changed is not None:
        declared = declaration_of(method)
        what = f"{changed.where}, which" if changed.where else "a tensor that"
        name = declared.name if declared else type(method).__name__
        raise ModelError(
            f"{name} wrote into {what} it was only lent; it must work on a copy, such as x.clone(), or without "
            f"in-place operations. {changed.fate}"
        )


@dataclass(frozen=True, eq=False)
class _Loan:
    """A tensor of the caller's, and what the method was given for it: a copy, or the tensor itself."""

    own: Tensor
    given: Tensor
    where: str
    version: int = field(default=0)

    @classmethod
    def of(cls, own: Tensor, given: Tensor, where: str) -> _Loan:
        return cls(own, given, where, _version(given))

    @property
    def fate(self) -> str:
        if self.given is self.own:
            return "It is too large to be lent as a copy, so what you hold has changed: make it again."
        return "What you hold is as it was."

    def changed(self) -> bool:
        if _version(self.given) != self.version:
            return True
        if self.given is self.own or torch.equal(self.given, self.own):
            return False
        return self.given.shape != self.own.shape or not _equal_with_nan(self.given, self.own)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)


def _equal_with_nan(one: Tensor, other: Tensor) -> bool:
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _copy(value: Any, where: str, loans: list[_Loan]) -> Any:
    if isinstance(value, Tensor):
        given = value.detach().clone() if value.numel() <= COPIED else value
        loans.append(_Loan.of(value, given, where))
        return given
    if isinstance(value, nn.Module):
        return _copy_of_module(value, loans)
    if isinstance(value, list | dict):
        return copy.deepcopy(value)
    return _copy_of_holder(value, where or type(value).__name__, loans)


def _copy_of_module(module: nn.Module, loans: list[_Loan]) -> nn.Module:
    own = module.state_dict()
    given = copy.deepcopy(module) if sum(tensor.numel() for tensor in own.values()) <= COPIED else module
    name = type(module).__name__
    loans += [_Loan.of(own[key], tensor, f"{name}.{key}") for key, tensor in given.state_dict().items()]
    return given


def _copy_of_holder(value: Any, where: str, loans: list[_Loan]) -> Any:
    """A copy of an object that holds tensors; of its other parts only values that hold tensors are copied."""
    parts = getattr(value, "__dict__", {})
    if not any(isinstance(part, Tensor) for part in parts.values()):
        return value
    other = copy.copy(value)
    copied = {
        name: _copy(part, f"{where}.{name}", loans)
        for name, part in parts.items()
        if isinstance(part, Tensor) or _is_value(part)
    }
    vars(other).update(copied)  # not setattr, since values are frozen
    return other


def _is_value(part: Any) -> bool:
    return is_dataclass(part) and not isinstance(part, type) and part.__dataclass_params__.frozen  # type: ignore[attr-defined]
