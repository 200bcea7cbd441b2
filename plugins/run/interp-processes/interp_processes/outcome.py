"""What becomes of a shard where it is worked on, as bytes for the one who asked: a result or an error, and warnings."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interp_core.errors import InputError, InterpError

from interp_processes.pickling import Dumps, dumps, loads, read


@dataclass(frozen=True)
class Warned:
    """A warning, and where the work gave it.

    Args:
        category: its class.
        text: what it says.
        filename: the file of the line that gave it.
        lineno: the number of that line, from 1.

    Examples:
        >>> from interp_processes.outcome import Warned
        >>> Warned(UserWarning, "few rows", "a.py", 3).text
        'few rows'
    """

    category: type[Warning]
    text: str
    filename: str
    lineno: int


@dataclass(frozen=True)
class Outcome:
    """What became of one shard.

    Args:
        result: what the work returned; None if it failed.
        error: what it raised, with the traceback as a note; None if it did not fail.
        warned: the warnings that it gave, equal ones once.

    Examples:
        >>> from interp_processes.outcome import Outcome
        >>> Outcome(3).error is None
        True
    """

    result: Any = None
    error: BaseException | None = None
    warned: tuple[Warned, ...] = ()


def attempt(work: Callable[[Any], Any], shard: bytes, *, written_by: Dumps = dumps) -> bytes:
    """Work on a shard, and write down what becomes of it. Nothing is raised and no warning is shown.

    Args:
        work: what is done with the shard.
        shard: the shard, pickled.
        written_by: what writes a value as bytes; `loads` of `pickling` must read them.

    Returns:
        An `Outcome`, pickled. Where the result cannot be, it is an InputError that says so; an error that cannot be is
        an `InterpError` with its name and text.

    Examples:
        >>> from interp_processes.outcome import attempt
        >>> from interp_processes.pickling import dumps, loads
        >>> loads(attempt(len, dumps((1, 2, 3)))).result
        3
        >>> loads(attempt(len, dumps(3))).error
        TypeError("object of type 'int' has no len()")
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        result, error = None, None
        try:
            result = work(read(shard, "a shard"))
        except BaseException as raised:
            error = sendable(raised, written_by=written_by)
    warned = tuple(dict.fromkeys(Warned(w.category, str(w.message), w.filename, w.lineno) for w in caught))
    try:
        return written_by(Outcome(result, error, warned))
    except Exception as refusal:
        message = (
            f"a result of type {type(result).__name__} cannot be sent to the process that asked for it "
            f"({type(refusal).__name__}: {refusal}); let the work return arrays, tensors and values of classes that "
            "can be imported."
        )
        return written_by(Outcome(error=InputError(message)))


def sendable(error: BaseException, *, written_by: Dumps = dumps) -> BaseException:
    """An error that survives being sent, with its traceback as a note, since that cannot be sent.

    Args:
        error: what was raised.
        written_by: as for `attempt`.

    Returns:
        The error itself; where it cannot be pickled and read, an `InterpError` with its name and text.

    Examples:
        >>> from interp_processes.outcome import sendable
        >>> sendable(ValueError("no rows"))
        ValueError('no rows')
    """
    where = "In the worker:\n" + "".join(traceback.format_exception(error))
    error.add_note(where)
    try:
        if type(loads(written_by(error))) is type(error):
            return error
    except Exception:  # whatever its own way to be pickled or made again raises
        pass
    plain = InterpError(f"the work failed with {type(error).__name__}: {error}")
    plain.add_note(where)
    return plain


__all__ = ["Outcome", "Warned", "attempt", "sendable"]
