"""Items that another thread makes ahead: their order, how many, errors at their place, and a thread that is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from interp_sae.prefetching import BATCHES, NUMBERS, THREAD, batches_ahead, prefetched

SECONDS = 30  # that something another thread does is waited for, at most


def threads() -> list[str]:
    """The threads that make items now."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


class Counted:
    """The numbers from 0, and how many have been made."""

    def __init__(self, stop: int, error: BaseException | None = None) -> None:
        self.stop, self.error, self.made = stop, error, 0
        self.changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        for number in range(self.stop):
            with self.changed:
                self.made += 1
                self.changed.notify_all()
            yield number
        if self.error:
            raise self.error

    def wait(self, count: int) -> bool:
        """Waits until so many have been made."""
        with self.changed:
            return self.changed.wait_for(lambda: self.made >= count, SECONDS)


@pytest.mark.parametrize("ahead", [1, 7, 200])
def test_items_come_in_their_order(ahead: int) -> None:
    assert list(prefetched(iter(range(100)), ahead)) == list(range(100))


def test_nothing_is_a_sequence_too() -> None:
    assert list(prefetched(iter(()), 3)) == [] == threads()


def test_none_is_an_item_like_any_other() -> None:
    assert list(prefetched(iter([None, 1, None]), 2)) == [None, 1, None]


def test_items_are_made_while_another_is_in_use() -> None:
    counted = Counted(100)
    with closing(prefetched(iter(counted), 5)) as items:
        assert [next(items), next(items)] == [0, 1]
        assert counted.wait(2 + 5)


def test_no_more_are_made_ahead_than_asked_for() -> None:
    counted = Counted(50)
    for taken, _ in enumerate(prefetched(iter(counted), 3), 1):
        assert counted.wait(min(50, taken + 3)) and counted.made <= taken + 3


def test_all_are_made_by_one_other_thread() -> None:
    makers = (threading.get_ident() for _ in range(40))
    assert len(found := set(prefetched(makers, 4))) == 1 and threading.get_ident() not in found


@pytest.mark.parametrize("error", [ValueError("a damaged shard"), KeyboardInterrupt()], ids=repr)
def test_an_error_is_raised_where_the_item_would_have_come(error: BaseException) -> None:
    taken = []
    with pytest.raises(type(error)) as raised:
        for item in prefetched(iter(Counted(6, error)), 10):
            taken.append(item)
    assert taken == list(range(6)) and raised.value is error and not threads()


def in_use(items: Iterator[int]) -> None:
    raise ZeroDivisionError


def left_early(items: Iterator[int]) -> None:
    assert next(items) == 1


@pytest.mark.parametrize("use", [list, left_early, in_use], ids=lambda use: use.__name__)
def test_the_thread_is_gone_however_its_items_are_left(use: Callable[[Iterator[int]], object]) -> None:
    items = prefetched(iter(range(1000)), 4)
    assert next(items) == 0 and len(threads()) == 1
    try:
        with closing(items):
            use(items)
    except ZeroDivisionError:
        assert use is in_use
    assert not threads()


def test_items_that_nobody_holds_any_more_leave_no_thread() -> None:
    items = prefetched(iter(range(1000)), 4)
    next(items)
    del items
    assert not threads()


def test_what_was_not_begun_when_the_items_are_closed_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is in the making then, and eight more are asked for."""
    closed, made = threading.Event(), []

    class Closing(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(False, cancel_futures=cancel_futures)
            closed.set()
            super().shutdown(wait)

    def slow() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number
            assert closed.wait(SECONDS)

    monkeypatch.setattr("interp_sae.prefetching.ThreadPoolExecutor", Closing)
    items = prefetched(slow(), 10)
    assert next(items) == 0
    items.close()
    assert len(made) <= 2 and not threads()


def test_as_many_batches_are_ready_as_memory_allows_and_two_at_least() -> None:
    assert batches_ahead(512, 1024) * 512 * 1024 == NUMBERS
    assert batches_ahead(64, 16) == BATCHES
    assert batches_ahead(8192, 8192) == 2
