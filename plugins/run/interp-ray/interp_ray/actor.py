"""One actor that holds the work, and the side of it that asks."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
from collections.abc import Mapping
from typing import Any

from interp_core.errors import InputError
from interp_processes.in_order import WorkerLost
from interp_processes.outcome import Outcome, attempt, sendable
from interp_processes.pickling import loads, read
from interp_processes.settings import adopt, limit_threads


class Actor:
    """What runs on the cluster: it reads the work once, then answers to one shard after another.

    Args:
        work: a reference to the pickled work, in a list, so that Ray does not read it before the threads are set.
        threads: threads of torch.
        settings: those of torch that are taken over, from `interp_processes.settings.settings`.
    """

    def __init__(self, work: list[Any], threads: int, settings: Mapping[str, Any]) -> None:
        self._reference, self._threads, self._settings = work[0], threads, settings
        self._work: Any = None

    def ready(self) -> bytes:
        """Read the work.

        Returns:
            None, or the error that says why it cannot be read; pickled.
        """
        import ray

        limit_threads(self._threads)
        try:
            self._work = read(ray.get(self._reference), "the work")
            adopt(self._settings, self._threads)
        except Exception as error:
            return dumps(sendable(error, written_by=dumps))
        return dumps(None)

    def work_on(self, shard: bytes) -> bytes:
        """What becomes of a shard.

        Args:
            shard: the shard, pickled.

        Returns:
            The outcome, pickled.
        """
        outcome = attempt(self._work, shard, written_by=dumps)
        sys.stdout.flush()
        return outcome


def dumps(value: Any) -> bytes:
    """A value as bytes, by the pickler of Ray, which also writes what a notebook or a script defines.

    Args:
        value: the value.

    Returns:
        Bytes for `interp_processes.pickling.loads`.

    Raises:
        Exception: the value cannot be pickled.

    Examples:
        >>> from interp_processes.pickling import loads
        >>> from interp_ray.actor import dumps
        >>> loads(dumps(lambda shard: 2 * shard))(4)
        8
    """
    import ray.cloudpickle

    message: bytes = ray.cloudpickle.dumps(value)
    return message


def to_send(value: Any, what: str) -> bytes:
    """What a caller gave as bytes, or an error that says what cannot be sent.

    Args:
        value: the value.
        what: what it is called in a message.

    Returns:
        Bytes for `interp_processes.pickling.loads`.

    Raises:
        InputError: it cannot be pickled.

    Examples:
        >>> import threading
        >>> from interp_ray.actor import to_send
        >>> to_send(threading.Lock(), "a shard")
        Traceback (most recent call last):
        ...
        interp_core.errors.InputError: a shard cannot be sent to the cluster ...
    """
    try:
        return dumps(value)
    except Exception as error:  # whatever its own way to be pickled raises
        raise InputError(
            f"{what} cannot be sent to the cluster ({type(error).__name__}: {error}). Open files, locks and "
            "connections cannot be; let the work open them where it runs."
        ) from None


class ActorWorker:
    """An actor, started when it is needed.

    Args:
        work: a reference to the pickled work, in the object store of the cluster.
        threads: threads of torch in the actor.
        settings: those of torch that it takes over.
        cpus: CPUs that it keeps for itself.
        gpus: GPUs that it keeps for itself.
    """

    def __init__(self, work: Any, threads: int, settings: Mapping[str, Any], cpus: float, gpus: float) -> None:
        import ray

        made = ray.remote(Actor).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self._made, self._given = made, ([work], threads, settings)
        self._actor: Any = None
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start the actor and let it read the work, as soon as the cluster has room for it; nothing if it runs.

        Raises:
            WorkerLost: it ended before it had read the work, or the worker is closed.
            InputError: it cannot read the work.
        """
        if self._actor is not None:
            return
        with self._lock:
            if self._closed:
                raise WorkerLost("it was closed")
            self._actor = self._made.remote(*self._given)
        refusal = self._answered("ready")
        if refusal is not None:
            raise refusal

    def work_on(self, shard: Any) -> Outcome:
        """What becomes of a shard.

        Args:
            shard: the shard.

        Raises:
            WorkerLost: the actor ended before it answered.
            InputError: the shard cannot be sent.
        """
        outcome: Outcome = self._answered("work_on", to_send(shard, "a shard"))
        return outcome

    def close(self) -> None:
        """End the actor for good: at once, whatever it does."""
        with self._lock:
            self._closed = True
            if self._actor is not None:
                _kill(self._actor)

    def _answered(self, method: str, *given: Any) -> Any:
        import ray

        actor = self._actor
        try:
            return loads(ray.get(getattr(actor, method).remote(*given)))
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as loss:  # the actor, its machine or the way to it is gone
            _kill(actor)
            self._actor = None
            raise WorkerLost(_how(loss)) from None


def _how(loss: Exception) -> str:
    said = re.sub(r"(class_name|actor_id|namespace): \S+", "", str(loss))
    return f"Ray says: {textwrap.shorten(said, 300, placeholder=' …')}"


def _kill(actor: Any) -> None:
    import ray

    if ray.is_initialized():
        ray.kill(actor)


__all__ = ["Actor", "ActorWorker", "dumps", "to_send"]
