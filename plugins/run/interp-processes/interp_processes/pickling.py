"""Values as bytes for another process of the same run. Nothing of it is kept in a file, or read from one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from interp_core.errors import InputError

Dumps = Callable[[Any], bytes]


def dumps(value: Any) -> bytes:
    """A value as bytes. Tensors are copied, so that who reads them shares no memory with the caller.

    Args:
        value: the value.

    Returns:
        Bytes for `loads`.

    Raises:
        Exception: the value cannot be pickled.

    Examples:
        >>> from interp_processes.pickling import dumps, loads
        >>> loads(dumps({"a": 1}))
        {'a': 1}
    """
    return pickle.dumps(value)


def loads(message: bytes) -> Any:
    """The value of such bytes, which must come from a process of this run.

    Args:
        message: what `dumps` gave.

    Returns:
        The value.

    Examples:
        >>> from interp_processes.pickling import dumps, loads
        >>> loads(dumps((1, 2)))
        (1, 2)
    """
    return pickle.loads(message)


def to_send(value: Any, what: str) -> bytes:
    """What a caller gave as bytes, or an error that says what cannot be sent.

    Args:
        value: the value.
        what: what it is called in a message.

    Returns:
        Bytes for `loads`.

    Raises:
        InputError: it cannot be pickled.

    Examples:
        >>> from interp_processes.pickling import to_send
        >>> to_send(lambda shard: shard, "the work")
        Traceback (most recent call last):
        ...
        interp_core.errors.InputError: the work cannot be sent to another process ...
    """
    try:
        return dumps(value)
    except Exception as error:  # whatever its own way to be pickled raises
        raise InputError(
            f"{what} cannot be sent to another process ({type(error).__name__}: {error}). Functions and classes must "
            "be defined at the top of a module that can be imported, not be a lambda or stand within a function; open "
            "files, locks and connections cannot be sent."
        ) from None


def read(message: bytes, what: str) -> Any:
    """What a caller gave, in the worker.

    Args:
        message: its bytes.
        what: what it is called in a message.

    Returns:
        The value.

    Raises:
        InputError: a module, function or class of it is not known here.

    Examples:
        >>> from interp_processes.pickling import dumps, read
        >>> read(dumps(len), "the work")
        <built-in function len>
    """
    try:
        return loads(message)
    except (AttributeError, ImportError) as error:
        raise InputError(
            f"a worker cannot read {what} ({type(error).__name__}: {error}). It imports functions and classes from "
            "where they are defined, and what is typed into a notebook or a shell is defined nowhere else: write it to "
            "a file that the worker can import."
        ) from None


__all__ = ["Dumps", "dumps", "loads", "read", "to_send"]
