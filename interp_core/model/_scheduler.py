"""Sharing of passes between texts that are processed at the same time.

A method sees one text and is written as plain code. Each text runs on its own thread. When all threads wait for the
model, the calling thread runs their requests together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from interp_core.errors import InterpError

T = TypeVar("T")
Run = Callable[[Sequence[Any]], list[Any]]
_number_of_job: ContextVar[int] = ContextVar("number of job", default=0)


class _ClosedError(InterpError):
    """Another text failed, or the caller stopped the run."""


def _closed() -> _ClosedError:
    return _ClosedError("the run was stopped before this request was run.")


@dataclass(eq=False)
class _Waiting:
    """A request that waits, and then its output or the error."""

    job: int
    request: Any
    answered: threading.Event = field(default_factory=threading.Event)
    output: Any = None

    def answer(self, output: Any) -> None:
        """Hand it its output, or the error."""
        self.output = output
        self.answered.set()


class RequestBatcher:
    """Collector of the requests of several threads, which are run together.

    Which requests run together, and in which order, depends on the jobs only and not on the timing of threads, so that
    repeated runs are bitwise equal. Jobs see the context variables of the caller.

    Args:
        run: a function from the waiting requests to one output for each, such as `BatchRunner.run`.

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
        self._rested = threading.Semaphore(0)  # released by a job that waits, or has ended
        self._waiting: list[_Waiting] = []
        self._closing = threading.Lock()
        self._closed = False

    def ask(self, request: Any) -> Any:
        """Wait until a request has run, in a job that `each` runs.

        Args:
            request: what `run` takes, such as a `ModelRequest`.

        Returns:
            The output for the request.

        Raises:
            InterpError: another job failed, or the caller stopped the run. Errors of `run` are raised here as well.
        """
        waiting = _Waiting(_number_of_job.get(), request)
        with self._closing:
            if self._closed:
                raise _closed()
            self._waiting.append(waiting)
        self._rested.release()
        waiting.answered.wait()
        if isinstance(waiting.output, BaseException):
            raise waiting.output
        return waiting.output

    def each(self, jobs: Iterable[Callable[[], T]], width: int) -> Iterator[T]:
        """Run jobs on threads, of which only one runs at a time until it asks for the model.

        The first job that fails ends the run. Its error is raised after the results of the jobs before it.

        Args:
            jobs: functions without arguments that call `ask`.
            width: the maximum number of jobs in flight.

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
                        pool.submit(copy_context().run, self._work, started, queue[started], results)
                        self._rested.acquire()
                        started += 1
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
                with self._closing:
                    self._closed = True
                    for one in self._waiting:
                        one.answer(_closed())

    def _work(self, number: int, job: Callable[[], T], results: dict[int, Any]) -> None:
        _number_of_job.set(number)
        try:
            results[number] = job()
        except BaseException as error:  # raised on the caller's thread
            results[number] = error
        self._rested.release()

    def _run_waiting(self) -> None:
        """Run the requests that are waiting, in the order of their jobs, and let the jobs go on."""
        some = sorted(self._waiting, key=lambda one: one.job)
        if not some:
            return
        requests = [one.request for one in some]
        try:
            outputs: Sequence[Any] = self._run(requests)
        except InterpError as error:  # whose fault it is shows when each is run alone
            outputs = [error] if len(requests) == 1 else [self._alone(request) for request in requests]
        except Exception as error:
            outputs = [error] * len(requests)
        for one, output in zip(some, outputs, strict=True):
            self._waiting.remove(one)
            one.answer(output)
            self._rested.acquire()

    def _alone(self, request: Any) -> Any:
        try:
            return self._run([request])[0]
        except InterpError as error:
            return error
