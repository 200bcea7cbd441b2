"""Executors of shards: in this process, one after another, or wherever a method of the kind `executor` sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from interp_core.errors import InputError
from interp_core.plugin import resolve

S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True)
class InThisProcess:
    """Executor that processes one shard after another, on the thread that consumes the results.

    Examples:
        >>> from interp_core.results import InThisProcess
        >>> list(InThisProcess().map(len, [(1, 2), (3,)]))
        [2, 1]
    """

    def map(self, work: Callable[[S], R], shards: Iterable[S]) -> Iterator[R]:
        """Apply a function to shards.

        Args:
            work: the function of a shard.
            shards: the shards, which are read only as far as the results are.

        Returns:
            An iterator over the results, in the order of the shards.
        """
        return map(work, shards)


def executor_of(executor: Any) -> Any:
    """Resolve the executor of a run.

    Args:
        executor: the name of an executor, an instance, or None for this process.

    Returns:
        An instance with the method `map(work, shards)`.

    Raises:
        InputError: `executor` is neither a name nor an instance.
        UnknownMethodError: no installed package declares an executor of this name.

    Examples:
        >>> from interp_core.results import executor_of
        >>> executor_of(None)
        InThisProcess()
    """
    if executor is None:
        return InThisProcess()
    if not isinstance(executor, str) and (isinstance(executor, type) or not hasattr(executor, "map")):
        raise InputError(
            f"executor is {executor!r}; the name of one, such as 'processes', or an instance was expected: "
            'interp.method("processes", workers=2).'
        )
    return resolve(executor, "executor") if isinstance(executor, str) else executor
