"""Descriptions of values as JSON values that are equal in every process, so that two runs can be compared."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.plugin import declaration_of
from interp_core.results._provenance import Cost
from torch import Tensor, nn


def described(value: Any) -> Any:
    """Describe a value by JSON values that are equal in every process, to compare the settings of two runs.

    Args:
        value: any value.

    Returns:
        JSON values unchanged; for a function its name and a digest of its code, for an object its class and fields, for
        a module or tensor a digest of its numbers.

    Raises:
        InputError: the value can be told from others only by its address in memory.

    Examples:
        >>> from interp_core.results import described
        >>> described({"k": (1, None)}), described(len)
        ({'k': [1, None]}, 'builtins.len')
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): described(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [described(one) for one in value]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Tensor):
        return [kind, _digest([value])]
    if isinstance(value, nn.Module):
        plain = {name: _plain_attributes(module) for name, module in value.named_modules()}
        return [kind, _digest(list(value.state_dict().values())), described(plain)]
    if is_dataclass(value) and not isinstance(value, type):
        timed = {"seconds"} if isinstance(value, Cost) else set()  # the same run takes another time
        names = [name for name in value.__dataclass_fields__ if name not in timed]
        return [kind, described({name: getattr(value, name) for name in names})]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(described(one), sort_keys=True) for one in value)
    if hasattr(value, "tolist"):
        return described(value.tolist())
    return _callable(value, kind) if callable(value) else _object(value, kind)


def _callable(value: Any, kind: str) -> Any:
    """A function, method, class, or object that can be called."""
    if isinstance(value, functools.partial):
        return [kind, described([value.func, value.args, value.keywords])]
    if hasattr(value, "__func__"):  # a bound method
        return [described(value.__func__), described(value.__self__)]
    if hasattr(value, "__code__"):
        return _function(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _object(value, kind)


def _object(value: Any, kind: str) -> Any:
    """An object, by what it shows of itself or by its attributes.

    Raises:
        InputError: it has neither.
    """
    if " at 0x" not in repr(value):
        return [kind, repr(value)]
    if getattr(value, "__dict__", None):
        return [kind, described(vars(value))]
    raise InputError(
        f"{repr(value)[:80]} cannot be told from others in another process, so a run with it could not be resumed; "
        "give a function of a module, a dataclass or a plain value, or leave out to=."
    )


def code_of(method: Any) -> Any:
    """Describe the code of a method that no installed package declares, since it has no version.

    Args:
        method: an instance of the method.

    Returns:
        JSON values that change with the code of the class; None for a method of a package.

    Examples:
        >>> from interp_core.results import code_of
        >>> code_of(interp.method("occlusion")) is None
        True
    """
    if declaration_of(method) is not None:
        return None
    functions = [one for kind in type(method).__mro__ for one in vars(kind).values() if hasattr(one, "__code__")]
    return described([one for one in functions if not one.__name__.startswith("__")])


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """What a module is made of besides its tensors, such as the number of codes that it keeps."""
    plain = (bool, int, float, str, tuple, list, type(None))
    return {name: value for name, value in vars(module).items() if name[:1] != "_" and isinstance(value, plain)}


def _function(function: Any) -> Any:
    """The name of a function, what it computes, and what it has kept from where it was made."""
    code, cells = function.__code__, function.__closure__ or ()
    constants = [described(c) for c in code.co_consts if c is None or isinstance(c, bool | int | float | str | tuple)]
    computed = hashlib.blake2b(code.co_code, digest_size=8).hexdigest()
    kept = [described(cell.cell_contents) for cell in cells if cell.cell_contents is not function]
    named = f"{function.__module__}.{function.__qualname__}"
    return [named, computed, constants, list(code.co_names), kept, described(function.__defaults__)]


def _digest(tensors: list[Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        own = tensor.detach().cpu().contiguous()
        digest.update(f"{own.dtype} {tuple(own.shape)}".encode())
        digest.update(own.flatten().view(torch.uint8).numpy().tobytes() if own.numel() else b"")
    return digest.hexdigest()
