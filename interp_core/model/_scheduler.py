"""Texts in flight wait for each other, so that what they ask of the model can share its passes.

A method sees one text and is written as plain code. Each text runs on a thread of its own; when all of them wait for
the model, the calling thread answers everything at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from interp_core.errors import InterpError
from interp_core.model._requests import ModelOutput, ModelRequest

T = TypeVar("T")
Run = Callable[[Sequence[ModelRequest]], list[ModelOutput]]


class _ClosedError(InterpError):
    """The run was ended by another text or by the user."""


class RequestBatcher:
    """Where threads leave requests and wait; `run` answers all requests that are waiting together."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._turn = threading.Condition()
        self._waiting: list[tuple[ModelRequest, list[Any]]] = []
        self._busy = 0
        self._closed = False

    def ask(self, request: ModelRequest) -> ModelOutput:
        """The answer to a request, called from a job's thread; errors of the model are raised here."""
        slot: list[Any] = []
        with self._turn:
            self._waiting.append((request, slot))
            self._busy -= 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: slot or self._closed)
        if not slot:
            raise _ClosedError("the run was ended.")
        if isinstance(slot[0], BaseException):
            raise slot[0]
        answer: ModelOutput = slot[0]
        return answer

    def each(self, jobs: Iterable[Callable[[], T]], width: int) -> Iterator[T]:
        """The results of the jobs in their order, `width` of them in flight at a time.

        The first failing job ends the run; its error is raised after the results that come before it.
        """
        queue = list(jobs)
        results: dict[int, Any] = {}
        with ThreadPoolExecutor(max_workers=max(1, min(width, len(queue)))) as pool:
            try:
                started, given = 0, 0
                while given < len(queue):
                    while started < len(queue) and started - given < width:
                        self._start(pool, started, queue[started], results)
                        started += 1
                    self._answer_waiting()
                    while given in results:
                        result = results.pop(given)
                        given += 1
                        if isinstance(result, BaseException):
                            raise result
                        yield result
            finally:
                with self._turn:
                    self._closed = True
                    self._turn.notify_all()

    def _start(self, pool: ThreadPoolExecutor, number: int, job: Callable[[], T], results: dict[int, Any]) -> None:
        with self._turn:
            self._busy += 1
        pool.submit(self._work, number, job, results)

    def _work(self, number: int, job: Callable[[], T], results: dict[int, Any]) -> None:
        try:
            result: Any = job()
        except BaseException as error:  # handed to the caller's thread, which raises it
            result = error
        with self._turn:
            results[number] = result
            self._busy -= 1
            self._turn.notify_all()

    def _answer_waiting(self) -> None:
        """Wait until every job in flight waits or has ended, then answer those that wait."""
        with self._turn:
            self._turn.wait_for(lambda: self._busy == 0)
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            answers: Sequence[Any] = self._run([request for request, _ in waiting])
        except Exception as error:
            answers = [error] * len(waiting)
        with self._turn:
            for (_, slot), answer in zip(waiting, answers, strict=True):
                slot.append(answer)
            self._busy += len(waiting)
            self._turn.notify_all()
