"""Shards go to whichever worker is free, results come in order, and the shard of a lost worker goes to another."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import PriorityQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from interp_core.errors import InterpWarning, ModelError

from interp_processes.outcome import Outcome, Warned

AHEAD = 2  # shards that are drawn ahead for each worker: the one it has, and one that waits
PATIENCE = 10.0  # seconds that a thread has to end, after its worker was closed


class WorkerLost(Exception):  # noqa: N818 - nobody but `in_order` sees it
    """A worker ended before it answered. Its message says how, as the end of a sentence.

    Examples:
        >>> from interp_processes.in_order import WorkerLost
        >>> str(WorkerLost("it was killed by SIGKILL"))
        'it was killed by SIGKILL'
    """


@runtime_checkable
class Worker(Protocol):
    """One worker, which holds the work and has one shard at a time. Its methods are called on a thread of its own, but
    for `close`.
    """

    def start(self) -> None:
        """Wait until it can work; nothing if it can.

        Raises:
            WorkerLost: it ended before it could.
        """

    def work_on(self, shard: Any) -> Outcome:
        """What becomes of a shard.

        Args:
            shard: the shard.

        Raises:
            WorkerLost: it ended before it answered; `start` starts it again.
        """

    def close(self) -> None:
        """End it, whatever it does, for good. Whoever waits for it gets `WorkerLost`."""


@dataclass(order=True)
class _Task:
    number: int
    shard: Any = field(default=None, compare=False)
    losses: list[WorkerLost] = field(default_factory=list, compare=False)
    outcome: Future[Outcome] = field(default_factory=Future, compare=False)


_END = -1  # the number of a task that ends a thread; such come before all others


def in_order(new_worker: Callable[[], Worker], shards: Iterable[Any], *, workers: int, retries: int) -> Iterator[Any]:
    """The results of the work on shards, in their order, from several workers that may be lost.

    Args:
        new_worker: makes a worker, which is not started yet.
        shards: the shards; at most two a worker are drawn ahead of the results.
        workers: workers at most; no more are started than there are shards.
        retries: how often the shard of a lost worker is worked on again; so often, too, is a worker started again that
            is lost before it could work.

    Yields:
        One result a shard, none of them twice. Warnings of the work are given as they come, equal ones once; that a
        worker was lost is an InterpWarning.

    Raises:
        ModelError: a shard lost its worker more often than that.
        Exception: what the work raised, or what the shards raised; after the results of the shards before.

    Examples:
        >>> from interp_processes.in_order import in_order
        >>> from interp_processes.outcome import Outcome
        >>> class Here:
        ...     def start(self): ...
        ...     def work_on(self, shard): return Outcome(2 * shard)
        ...     def close(self): ...
        >>> list(in_order(Here, range(4), workers=2, retries=0))
        [0, 2, 4, 6]
    """
    seen: set[Warned] = set()
    pending: deque[_Task] = deque()
    drawn = _Drawn(shards)
    with _Crew(new_worker, workers, retries) as crew:
        for task in drawn:
            pending.append(task)
            crew.give(task)
            while pending and (len(pending) >= AHEAD * workers or pending[0].outcome.done()):
                yield _result(pending.popleft(), seen)
        while pending:
            yield _result(pending.popleft(), seen)
    if drawn.error is not None:
        raise drawn.error


def _result(task: _Task, seen: set[Warned]) -> Any:
    outcome = task.outcome.result()
    for warned in outcome.warned:
        if warned not in seen:
            seen.add(warned)
            warnings.warn_explicit(warned.text, warned.category, warned.filename, warned.lineno)
    for loss in task.losses:
        warnings.warn(
            f"shard {task.number} was worked on again, since its worker was lost: {loss}.", InterpWarning, stacklevel=3
        )
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


class _Drawn:
    """Shards as tasks. An error of the shards ends them, and is kept until those before it are worked on."""

    def __init__(self, shards: Iterable[Any]) -> None:
        self.error: Exception | None = None
        self._shards = shards

    def __iter__(self) -> Iterator[_Task]:
        numbered = enumerate(self._shards)
        while True:
            try:
                number, shard = next(numbered)
            except StopIteration:
                return
            except Exception as error:
                self.error = error
                return
            yield _Task(number, shard)


class _Crew:
    """Workers, each with a thread that hands it the first shard that waits.

    A worker has a shard only once it has started: one that waits for room in a cluster keeps none waiting.
    """

    def __init__(self, new_worker: Callable[[], Worker], size: int, retries: int) -> None:
        self._new_worker, self._size, self._retries = new_worker, size, retries
        self._tasks: PriorityQueue[_Task] = PriorityQueue()
        self._hired: list[tuple[Worker, Thread]] = []
        self._closed = Event()

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        for worker, _ in self._hired:
            worker.close()
            self._tasks.put(_Task(_END))
        for _, thread in self._hired:
            thread.join(PATIENCE)

    def give(self, task: _Task) -> None:
        if len(self._hired) < self._size:
            worker = self._new_worker()
            thread = Thread(target=self._serve, args=(worker,), daemon=True, name=f"shards-{len(self._hired)}")
            self._hired.append((worker, thread))
            thread.start()
        self._tasks.put(task)

    def _serve(self, worker: Worker) -> None:
        failure: BaseException | None = None
        while failure is None:
            try:
                self._start(worker)
            except BaseException as error:
                failure = error
            task = self._tasks.get()
            if task.number == _END:
                return
            if failure is not None:
                task.outcome.set_exception(failure)
                return
            try:
                task.outcome.set_result(worker.work_on(task.shard))
            except WorkerLost as loss:
                self._again(task, loss)
            except BaseException as error:
                task.outcome.set_exception(error)

    def _start(self, worker: Worker) -> None:
        for left in reversed(range(self._retries + 1)):
            try:
                worker.start()
                return
            except WorkerLost as loss:
                if self._closed.is_set() or not left:
                    raise ModelError(
                        f"a worker was lost {_times(self._retries + 1)} before it could begin ({loss}). Memory may not "
                        "be enough for one copy of the model a worker: use fewer workers."
                    ) from None

    def _again(self, task: _Task, loss: WorkerLost) -> None:
        task.losses.append(loss)
        if len(task.losses) <= self._retries:
            self._tasks.put(task)
            return
        task.outcome.set_exception(
            ModelError(
                f"shard {task.number} was not worked on: its worker was lost {_times(len(task.losses))} in a row, at "
                f"last since {loss}. The likely cause is that memory ran out: use fewer workers, or smaller shards or "
                "batches."
            )
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


__all__ = ["Worker", "WorkerLost", "in_order"]
