"""Where shards are worked on: here, one after another, or wherever a method of the kind `executor` sends them."""

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
    """Works on one shard after another, on the thread that asks for the results.

    Examples:
        >>> from interp_core.results import InThisProcess
        >>> list(InThisProcess().map(len, [(1, 2), (3,)]))
        [2, 1]
    """

    def map(self, work: Callable[[S], R], shards: Iterable[S]) -> Iterator[R]:
        """The results of the work, in the order of the shards.

        Args:
            work: what is done with each shard.
            shards: the shards; read as far as the results are.
        """
        return map(work, shards)


def executor_of(executor: Any) -> Any:
    """What works on the shards of a run.

    Args:
        executor: the name of an executor, an instance, or None for this process.

    Returns:
        An instance with `map(work, shards)`.

    Raises:
        InputError: this is neither a name nor an instance.
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
