"""Works on shards in actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from interp_core.errors import InputError
from interp_processes.executor import check_counts
from interp_processes.in_order import in_order
from interp_processes.settings import settings

from interp_ray.actor import ActorWorker, to_send
from interp_ray.cluster import cluster, import_quietly


@dataclass(frozen=True)
class Ray:
    """Executor that works on shards in actors of a Ray cluster, each with its copy of the work and the model.

    The cluster is the one that is connected to; else that of the environment variable `RAY_ADDRESS`; else a local one,
    which ends with the call. State what its machines need (packages, files, variables) in your own
    `ray.init(runtime_env=...)`. An actor that ends, such as for lack of memory or with its machine, costs its shard
    only: another one is started, and the shard is worked on again.

    Args:
        workers: number of actors, at least 1; None for as many as the cluster has room for when the run begins. Where
            there is no room yet, they are started as the cluster grows, or as others leave.
        cpus: CPUs reserved for each actor, at least 0; may be a fraction.
        gpus: GPUs reserved for each actor, at least 0; may be a fraction. `cpus` or `gpus` must be above 0.
        threads: threads of torch in each actor, at least 1. Results are equal to the bit to those of one process with
            as many, on machines of one kind.
        retries: how often a shard whose actor ended is worked on again, at least 0.

    Raises:
        InputError: a number is out of range.

    Examples:
        >>> from interp_ray.executor import Ray
        >>> list(Ray(workers=2).map(len, [(1, 2), (3,), ()]))
        [2, 1, 0]

    Source:
        Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018. Departs from it in that
        actors are restarted here and not by Ray, so that a shard can go to any other meanwhile.
    """

    workers: int | None = None
    cpus: float = 1
    gpus: float = 0
    threads: int = 1
    retries: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_counts(self.workers, self.threads, self.retries)
        if self.cpus < 0 or self.gpus < 0 or self.cpus + self.gpus <= 0:
            raise InputError(
                f"cpus is {self.cpus} and gpus {self.gpus}; numbers of at least 0 were expected, and one above it."
            )

    def map(self, work: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """Work on the shards, and give the results in their order.

        Args:
            work: what is done with each shard. It is pickled once, and read once by each actor.
            shards: the shards, small values; at most two for each actor are drawn ahead of the results.

        Yields:
            One result for each shard. When the iterator is closed, or raises, the actors end, and so does a cluster
            that was started here.

        Raises:
            InputError: the work, a shard or a result cannot be sent, or no machine of the cluster has room for an
                actor.
            ModelError: a shard lost its actor more than `retries` times in a row.
            Exception: what the work raised, after the results of the earlier shards.
        """
        import_quietly()
        message = to_send(work, "the work")
        with cluster():
            import ray

            workers = self._workers([node["Resources"] for node in ray.nodes() if node["Alive"]])
            reference = ray.put(message)
            del message
            worker = partial(ActorWorker, reference, self.threads, settings(), self.cpus, self.gpus)
            yield from in_order(worker, shards, workers=workers, retries=self.retries)

    def _workers(self, machines: list[dict[str, float]]) -> int:
        asked = {name: each for name, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each}
        room = [min(int(has.get(name, 0) / each + 1e-9) for name, each in asked.items()) for has in machines]
        if not any(room):
            wanted = " and ".join(f"{each:g} {name}s" for name, each in asked.items())
            there = "; ".join(", ".join(f"{has.get(name, 0):g} {name}s" for name in asked) for has in machines)
            raise InputError(
                f"no machine of the cluster has room for an actor, which asks for {wanted}; they have: {there}. Lower "
                "cpus or gpus, or start such a machine first, as `ray.autoscaler.sdk.request_resources` does."
            )
        return self.workers or sum(room)


__all__ = ["Ray"]
