"""Batches made ahead of time: another thread reads and shuffles rows while a step runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

THREAD = "interp-sae-prefetch"
NUMBERS = 2**24  # of the rows that are held ready, at most
BATCHES = 128  # that are held ready, at most


def batches_ahead(batch_size: int, width: int) -> int:
    """How many batches are made ahead: as many as memory allows, at least 2.

    Rows are read and shuffled some ten thousand at a time, and no batch is made in the meantime: the training lives on
    those that are ready.

    Args:
        batch_size: rows of a batch.
        width: of a row.
    """
    return max(2, min(BATCHES, NUMBERS // (batch_size * width)))


def prefetched(items: Iterator[T], ahead: int) -> Generator[T, None, None]:
    """The same items in the same order, made by another thread before they are asked for.

    What `items` raises is raised here, where the item would have come. The thread is gone when the iterator has ended,
    has raised or is closed; whoever may leave it early wraps it in `contextlib.closing`.

    Args:
        items: what makes them; only the thread uses it, one item at a time.
        ahead: how many items are made ahead at most, at least 1.

    Yields:
        The items.
    """
    end = object()
    thread = ThreadPoolExecutor(1, THREAD)
    try:
        ready: deque[Future[Any]] = deque(thread.submit(next, items, end) for _ in range(ahead))
        while (item := ready.popleft().result()) is not end:
            ready.append(thread.submit(next, items, end))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
