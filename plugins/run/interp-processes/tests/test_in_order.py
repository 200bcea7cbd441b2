"""The order of shards and results, with workers on threads of this process that are lost as the tests say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from interp_core.errors import InterpWarning, ModelError
from interp_processes.in_order import WorkerLost, in_order
from interp_processes.outcome import Outcome


class Crew:
    """Makes workers, and counts what they do."""

    def __init__(self, does: Callable[[Crew, Any], Any] = lambda _, shard: 10 * shard, starts: Any = None) -> None:
        self.does, self.starts = does, starts or (lambda _: None)
        self.made = self.closed = self.started = 0
        self.worked: list[Any] = []

    def __call__(self) -> Any:
        self.made += 1
        return Fake(self)


class Fake:
    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.number = crew.made

    def start(self) -> None:
        self.crew.started += 1
        self.crew.starts(self)

    def work_on(self, shard: Any) -> Outcome:
        self.crew.worked.append(shard)
        return Outcome(self.crew.does(self.crew, shard))

    def close(self) -> None:
        self.crew.closed += 1


def lost_on(shards: dict[int, int]) -> Callable[[Crew, Any], Any]:
    """What a worker does that is lost on some shards so many times."""

    def does(crew: Crew, shard: int) -> int:
        if crew.worked.count(shard) <= shards.get(shard, 0):
            raise WorkerLost("it was lost on purpose")
        return 10 * shard

    return does


def run(crew: Crew, shards: Any, workers: int = 2, retries: int = 2) -> Iterator[Any]:
    return in_order(crew, shards, workers=workers, retries=retries)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_shard_is_worked_on_once_and_in_its_place(count: int, workers: int) -> None:
    crew = Crew()
    assert list(run(crew, range(count), workers)) == [10 * shard for shard in range(count)]
    assert sorted(crew.worked) == list(range(count))
    assert crew.made == crew.closed == min(count, workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_slow_first_shard_holds_back_two_shards_a_worker_and_no_more(workers: int) -> None:
    """The first shard ends when no other can be worked on any more."""
    drawn = 0
    others = threading.Semaphore(0)

    def does(_: Crew, shard: int) -> int:
        if shard == 0 and workers > 1:
            for _ in range(2 * workers - 1):
                others.acquire()
        elif shard < 2 * workers:
            others.release()
        return 10 * shard

    def shards() -> Iterator[int]:
        nonlocal drawn
        for shard in range(100):
            drawn = shard + 1
            yield shard

    results = run(Crew(does), shards(), workers)
    assert next(results) == 0
    assert drawn <= 2 * workers
    results.close()


def test_the_shard_of_a_lost_worker_goes_again_and_is_told() -> None:
    crew = Crew(lost_on({1: 2, 5: 1}))
    with pytest.warns(InterpWarning, match=r"shard . was worked on again, .* it was lost on purpose") as told:
        assert list(run(crew, range(8))) == [10 * shard for shard in range(8)]
    assert len(told) == 3
    assert sorted(crew.worked) == sorted([*range(8), 1, 1, 5])


def test_a_shard_that_is_lost_too_often_ends_the_run_after_those_before() -> None:
    crew, results = Crew(lost_on({2: 9})), []
    with pytest.raises(ModelError, match=r"shard 2 .* lost 3 times in a row, at last since it was lost on purpose"):
        for result in run(crew, range(8)):
            results.append(result)
    assert results == [0, 10]
    assert crew.worked.count(2) == 3
    assert crew.closed == crew.made


def test_a_worker_that_cannot_begin_is_started_again_and_then_given_up() -> None:
    def starts(_: Any) -> None:
        raise WorkerLost("it had no memory")

    crew = Crew(starts=starts)
    with pytest.raises(ModelError, match=r"lost 3 times before it could begin \(it had no memory\).*fewer workers"):
        list(run(crew, range(3), workers=1))
    assert crew.started == 3 and crew.worked == []


def test_a_worker_that_waits_for_room_keeps_no_shard_waiting() -> None:
    """The second worker never begins, as in a cluster that is full."""
    closed = threading.Event()

    def starts(worker: Fake) -> None:
        if worker.number == 2:
            closed.wait()
            raise WorkerLost("it was closed")

    crew = Crew(starts=starts)
    close = Fake.close

    def closing(worker: Fake) -> None:
        closed.set()
        close(worker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fake, "close", closing)
        assert list(run(crew, range(9))) == [10 * shard for shard in range(9)]
    assert crew.made == 2


def test_a_caller_that_stops_closes_the_workers_and_draws_no_more() -> None:
    crew, drawn = Crew(), []
    results = run(crew, (drawn.append(shard) or shard for shard in range(1000)))
    assert [next(results), next(results)] == [0, 10]
    results.close()
    assert crew.closed == crew.made == 2
    assert len(drawn) <= 6
