"""Lets texts that are processed at the same time share passes of the model.

A method sees one text and is written as plain code. Each text runs on its own thread. When all of them are waiting for
the model, the calling thread runs their requests together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from interp_core.errors import InterpError
from interp_core.model._requests import ModelOutput, ModelRequest

T = TypeVar("T")
Run = Callable[[Sequence[ModelRequest]], list[ModelOutput]]
_number_of_job: ContextVar[int] = ContextVar("number of job", default=0)


class _ClosedError(InterpError):
    """Another text failed, or the caller stopped the run."""


class RequestBatcher:
    """Collects the requests of several threads and runs them together.

    Which requests run together, and in which order, depends on the jobs alone and not on which thread was faster, so
    that a repeated run gives the same bits. Jobs see the context variables of the caller.

    Args:
        run: runs the requests that are waiting and returns one output for each, such as `BatchRunner.run`.

    Examples:
        Each job sees one text; their requests share one pass.

        >>> from functools import partial
        >>> from interp_core.model import BatchRunner, ModelRequest, RequestBatcher, whole_text
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> runner = BatchRunner(model)
        >>> batcher = RequestBatcher(runner.run)
        >>> def job(text):
        ...     encoded = model.encoder(text)
        ...     return batcher.ask(ModelRequest(torch.tensor([len(encoded)]), whole_text(encoded))).logits[0].tolist()
        >>> list(batcher.each([partial(job, "happy"), partial(job, "the sad cat")], width=2))
        [[2.0, 0.0], [0.0, 3.0]]
        >>> runner.cost.forwards
        1
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._turn = threading.Condition()
        self._waiting: list[tuple[int, ModelRequest, list[Any]]] = []
        self._busy = 0
        self._closed = False

    def ask(self, request: ModelRequest) -> ModelOutput:
        """Waits until a request has run. To be called from a job that `each` runs.

        Args:
            request: the request.

        Returns:
            Its output.

        Raises:
            InterpError: another job failed, or the caller stopped the run. Errors of `run` are raised here as well.
        """
        slot: list[Any] = []
        with self._turn:
            self._waiting.append((_number_of_job.get(), request, slot))
            self._busy -= 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: slot or self._closed)
        if not slot:
            raise _ClosedError("the run was stopped before this request was run.")
        if isinstance(slot[0], BaseException):
            raise slot[0]
        output: ModelOutput = slot[0]
        return output

    def each(self, jobs: Iterable[Callable[[], T]], width: int) -> Iterator[T]:
        """Runs jobs on threads.

        The first job that fails ends the run. Its error is raised after the results of the jobs before it.

        Args:
            jobs: functions without arguments that call `ask`.
            width: the most jobs in flight at a time.

        Yields:
            The results of the jobs, in their order.
        """
        queue = list(jobs)
        results: dict[int, Any] = {}
        with ThreadPoolExecutor(max_workers=max(1, min(width, len(queue)))) as pool:
            try:
                started, finished = 0, 0
                while finished < len(queue):
                    while started < len(queue) and started - finished < width:
                        self._start(pool, started, queue[started], results)
                        started += 1
                    self._wait()
                    before = finished
                    while finished in results:
                        result = results.pop(finished)
                        finished += 1
                        if isinstance(result, BaseException):
                            raise result
                        yield result
                    if finished == before or started == len(queue):  # else others can still join the waiting
                        self._run_waiting()
            finally:
                with self._turn:
                    self._closed = True
                    self._turn.notify_all()

    def _start(self, pool: ThreadPoolExecutor, number: int, job: Callable[[], T], results: dict[int, Any]) -> None:
        with self._turn:
            self._busy += 1
        pool.submit(copy_context().run, self._work, number, job, results)

    def _work(self, number: int, job: Callable[[], T], results: dict[int, Any]) -> None:
        _number_of_job.set(number)
        try:
            result: Any = job()
        except BaseException as error:  # raised on the caller's thread
            result = error
        with self._turn:
            results[number] = result
            self._busy -= 1
            self._turn.notify_all()

    def _wait(self) -> None:
        """Wait until every job in flight is waiting or has ended."""
        with self._turn:
            self._turn.wait_for(lambda: self._busy == 0)

    def _run_waiting(self) -> None:
        """Run the requests that are waiting, in the order of their jobs."""
        waiting, self._waiting = sorted(self._waiting, key=lambda one: one[0]), []
        if not waiting:
            return
        try:
            outputs: Sequence[Any] = self._run([request for _, request, _ in waiting])
        except InterpError as error:  # whose fault it is shows when each is run alone
            outputs = [error] if len(waiting) == 1 else [self._alone(request) for _, request, _ in waiting]
        except Exception as error:
            outputs = [error] * len(waiting)
        with self._turn:
            for (_, _, slot), output in zip(waiting, outputs, strict=True):
                slot.append(output)
            self._busy += len(waiting)
            self._turn.notify_all()

    def _alone(self, request: ModelRequest) -> ModelOutput | InterpError:
        try:
            return self._run([request])[0]
        except InterpError as error:
            return error
