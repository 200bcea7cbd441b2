"""One process that holds the work: its side, and that of the process which asks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from interp_core.errors import ModelError
from tqdm import tqdm

from interp_processes.in_order import WorkerLost
from interp_processes.outcome import Outcome, attempt, sendable
from interp_processes.pickling import dumps, loads, read, to_send
from interp_processes.settings import adopt, limit_threads

_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch, locked, and a broken CUDA
_SECONDS_TO_END = 5.0
_starting = threading.Lock()  # processes are started one after another


class ProcessWorker:
    """A process, started when it is needed.

    Args:
        work: what is done with each shard, pickled. It is sent once to each process.
        threads: threads of torch in the process.
        settings: those of torch that it takes over, from `interp_processes.settings.settings`.

    Examples:
        >>> from interp_processes.pickling import dumps
        >>> from interp_processes.worker import ProcessWorker
        >>> worker = ProcessWorker(dumps(len), 1, {})
        >>> worker.start()
        >>> worker.work_on((1, 2, 3)).result
        3
        >>> worker.close()
    """

    def __init__(self, work: bytes, threads: int, settings: Mapping[str, Any]) -> None:
        self._work, self._threads, self._settings = work, threads, settings
        self._running: tuple[Any, Connection] | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process and send it the work; nothing if it runs.

        Raises:
            WorkerLost: it was killed before it had read the work, or the worker is closed.
            ModelError: it ended by itself before.
            InputError: it cannot read the work.
        """
        if self._running is not None:
            return
        with _starting:
            if self._closed or not threading.main_thread().is_alive():  # the program ends, and its processes with it
                raise WorkerLost("it was closed")
            here, there = _SPAWN.Pipe()
            process = _SPAWN.Process(target=serve, args=(there, self._threads, self._settings), daemon=True)
            process.start()
            there.close()
            self._running = process, here
        try:
            refusal = self._asked(self._work)
        except WorkerLost as loss:
            if process.exitcode is not None and process.exitcode >= 0:
                raise ModelError(
                    f"a process could not begin: {loss}. What it wrote above says why. Each process imports the main "
                    'script, so that what this runs must stand below `if __name__ == "__main__":`.'
                ) from None
            raise
        if refusal is not None:
            raise refusal

    def work_on(self, shard: Any) -> Outcome:
        """What becomes of a shard.

        Args:
            shard: the shard.

        Raises:
            WorkerLost: the process ended before it answered.
            InputError: the shard cannot be sent.
        """
        outcome: Outcome = self._asked(to_send(shard, "a shard"))
        return outcome

    def close(self) -> None:
        """End the process for good: at once, whatever it does."""
        with _starting:
            self._closed = True
            running = self._running
        if running is None:
            return
        process, _ = running
        process.kill()
        process.join()

    def _asked(self, message: bytes) -> Any:
        if self._running is None:
            raise WorkerLost("it was not started")
        process, pipe = self._running
        try:
            pipe.send_bytes(message)
            answer = pipe.recv_bytes()
        except (EOFError, OSError):
            pipe.close()
            process.join(_SECONDS_TO_END)
            self._running = None
            raise WorkerLost(_how(process.exitcode)) from None
        return loads(answer)


def _how(exitcode: int | None) -> str:
    if exitcode is None:
        return "it no longer answered"
    if exitcode >= 0:
        return f"it ended with exit code {exitcode}"
    known = {one.value: one.name for one in signal.Signals}
    return f"it was killed by {known.get(-exitcode, f'signal {-exitcode}')}"


def serve(pipe: Connection, threads: int, settings: Mapping[str, Any]) -> None:
    """What runs in the process: it reads the work, then answers to one shard after another until nobody asks any more.

    Args:
        pipe: to the process that asks.
        threads: threads of torch.
        settings: those of torch that are taken over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks, and who ends this process
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    limit_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a process that is killed would leave behind
    try:
        _answer(pipe, threads, settings)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody asks any more


def _answer(pipe: Connection, threads: int, settings: Mapping[str, Any]) -> None:
    message = pipe.recv_bytes()
    try:
        work = read(message, "the work")
        adopt(settings, threads)
    except Exception as error:
        pipe.send_bytes(dumps(sendable(error)))
        return
    del message
    pipe.send_bytes(dumps(None))
    while True:
        outcome = attempt(work, pipe.recv_bytes())
        sys.stdout.flush()  # it may be killed before it would do so itself
        pipe.send_bytes(outcome)


def _end_with_the_caller() -> None:
    """However the process that asks ends, this one does not go on without it."""
    caller = multiprocessing.parent_process()
    if caller is not None:
        caller.join()
        os._exit(1)


__all__ = ["ProcessWorker", "serve"]
