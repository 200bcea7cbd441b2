"""Works on shards in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from interp_core.errors import InputError

from interp_processes.in_order import in_order
from interp_processes.pickling import to_send
from interp_processes.settings import settings
from interp_processes.worker import ProcessWorker


@dataclass(frozen=True)
class Processes:
    """Executor that works on shards in several processes of this machine, each with its copy of the work and the model.

    Each process is started anew (`spawn`), takes over the settings of torch that affect numbers, and ends with the
    call. A process that is killed, such as for lack of memory, costs its shard only: another one is started, and the
    shard is worked on again.

    Args:
        workers: number of processes, at least 1; None for one for every `threads` CPU cores that this process may use.
        threads: threads of torch in each process, at least 1. Results are equal to the bit to those of one process with
            as many.
        retries: how often a shard whose process was killed is worked on again, at least 0.

    Raises:
        InputError: a number is out of range.

    Examples:
        >>> from interp_processes.executor import Processes
        >>> list(Processes(workers=2).map(len, [(1, 2), (3,), ()]))
        [2, 1, 0]

    Source:
        By definition.
    """

    workers: int | None = None
    threads: int = 1
    retries: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_counts(self.workers, self.threads, self.retries)

    def map(self, work: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """Work on the shards, and give the results in their order.

        Args:
            work: what is done with each shard. It is pickled once, and sent once to each process.
            shards: the shards, small values; at most two for each process are drawn ahead of the results.

        Returns:
            An iterator of results. When it is closed, or raises, the processes end.

        Raises:
            InputError: the work, a shard or a result cannot be sent to another process.
            ModelError: a shard lost its process more than `retries` times in a row, or a process could not start.
            Exception: what the work raised, after the results of the earlier shards.
        """
        _check_that_processes_can_be_started()
        worker = partial(ProcessWorker, to_send(work, "the work"), self.threads, settings())
        workers = self.workers or max(1, _cores() // self.threads)
        return in_order(worker, shards, workers=workers, retries=self.retries)


def check_counts(workers: int | None, threads: int, retries: int) -> None:
    """Check what executors have in common.

    Args:
        workers: at least 1, or None.
        threads: at least 1.
        retries: at least 0.

    Raises:
        InputError: one of them is less.

    Examples:
        >>> from interp_processes.executor import check_counts
        >>> check_counts(None, 1, 0)
    """
    for name, value, least in (("workers", workers, 1), ("threads", threads, 1), ("retries", retries, 0)):
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; a whole number of at least {least} was expected.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_that_processes_can_be_started() -> None:
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):
        raise InputError(
            "this process was started to work on shards, and imports the main script for it, which would start "
            'processes itself; what the script runs must stand below `if __name__ == "__main__":`.'
        )
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is not None and not Path(script).exists():
        raise InputError(
            f"the main script is {script!r}, which is not a file, and each process would import it; write it to a "
            "file, or use a notebook or `python -c`."
        )
    if process.daemon:
        raise InputError(
            "a process that works on shards cannot start processes of its own; leave out the inner executor."
        )


__all__ = ["Processes", "check_counts"]
