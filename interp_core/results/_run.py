"""Runs in shards: each is written as it is made, and those that a folder already has are skipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from interp_core.errors import FolderError, ModelError, UnsupportedError
from interp_core.results._executor import executor_of
from interp_core.results._folder import Folder
from interp_core.results._provenance import under_circumstances
from interp_core.results._shard import Shard
from interp_core.results._stored import StoredShards
from tqdm.auto import tqdm

Done = tuple[Any, dict[str, Any]]  # for a folder a packed state; and JSON values that the run tells of the shard


def run_shards(
    work: Callable[[Shard], Done],
    shards: Iterator[Shard],
    *,
    folder: Folder | None = None,
    executor: Any = None,
    description: str,
    total: int | None = None,
    unit: str = "text",
    progress: bool = True,
) -> Iterator[Done]:
    """Process shards in order.

    Args:
        work: the function that processes a shard; it may be sent to another process.
        shards: the shards.
        folder: the folder in which they are written; None to yield their states. Shards that it already has are
            compared with those given and skipped.
        executor: where shards are processed, see `executor_of`.
        description: the label of the progress bar.
        total: the number of items in all shards; None if it is not known.
        unit: the noun for an item in the progress bar.
        progress: show a progress bar, with an estimate of the time left, in a terminal or notebook.

    Yields:
        For each shard, its state, or None if it is in the folder; and JSON values about it, including the number of
        `items` and its `digest`.

    Raises:
        FolderError: the folder cannot be resumed, see `Folder.begin`, or has shards of other items than those given.
        UnsupportedError: an intervention is open, and the shards would be processed elsewhere.
        ModelError: the executor lost a result, or returned results out of order.

    Examples:
        >>> from interp_core.results import packed, run_shards, shards_of
        >>> def work(shard):
        ...     return packed([({}, {"length": len(text)}) for text in shard.items]), {"first": shard.first}
        >>> for state, told in run_shards(work, shards_of(["a", "bc", "d"], 2, {}), description="count"):
        ...     told["first"], told["items"], state[1]["own"]
        (0, 2, [{'length': 1}, {'length': 2}])
        (2, 1, [{}])
    """
    if executor is not None and under_circumstances():
        raise UnsupportedError(
            "an intervention on the model is open, which other processes do not know; leave executor out inside of it."
        )
    stored = None if folder is None else StoredShards(folder.folder)
    known = None  # how many shards there are, if the run is complete
    if folder is not None:
        folder.begin()
        manifest = folder.manifest
        known = int(manifest["shards"]) if manifest["complete"] else None
    values: list[int] = []
    bar = tqdm(total=total, desc=description, unit=unit, disable=not progress or None, leave=False)
    with bar:
        for state, told in _each(work, shards, stored, known, executor_of(executor)):
            values.append(told["values"])
            bar.update(told["items"])
            yield state, told
    if folder is not None and values:
        if known is not None and len(values) < known:
            raise FolderError(f"{str(folder.folder)!r} holds more than was given; give the same again.")
        folder.write({"complete": True, "shards": len(values), "told": {"values": values}})
        folder.tidy()


@dataclass(frozen=True, eq=False)
class _Numbered:
    """Work whose results say which shard they are of."""

    work: Callable[[Shard], Done]

    def __call__(self, shard: Shard) -> tuple[int, Done]:
        return shard.number, self.work(shard)


def _each(
    work: Callable[[Shard], Done],
    shards: Iterator[Shard],
    stored: StoredShards | None,
    known: int | None,
    executor: Any,
) -> Iterator[Done]:
    """The shards of the folder, and those that are worked on now, in order."""
    for shard in shards:
        if stored is None or not _is_there(stored, shard):
            break
        yield None, stored.told(shard.number)
    else:
        return
    given: deque[Shard | int] = deque()  # of those that are in the folder the number alone

    def pending() -> Iterator[Shard]:
        for one in chain([shard], shards):
            if stored is not None and _is_there(stored, one):
                given.append(one.number)
                continue
            if stored is not None and known is not None and one.number >= known:
                raise FolderError(
                    f"the run in {str(stored.folder)!r} is complete and more was given; name another folder."
                )
            given.append(one)
            yield one

    for number, (state, said) in executor.map(_Numbered(work), pending()):
        yield from _passed_over(given, stored)
        done = given.popleft() if given else None
        if not isinstance(done, Shard) or done.number != number:
            raise ModelError(f"{type(executor).__name__} gave the result of shard {number} out of its place.")
        told = {"items": len(done), "digest": done.digest, **said}
        told.setdefault("values", state[1]["count"] if isinstance(state, tuple) else len(state))
        if stored is None:
            yield state, told
        else:
            stored.write(done.number, state, told)
            yield None, told
    yield from _passed_over(given, stored)
    if given:
        raise ModelError(f"{type(executor).__name__} gave no result of {len(given)} shards.")


def _passed_over(given: deque[Any], stored: StoredShards | None) -> Iterator[Done]:
    """What the folder tells of its shards that come next."""
    while given and stored is not None and isinstance(given[0], int):
        yield None, stored.told(given.popleft())


def _is_there(stored: StoredShards, shard: Shard) -> bool:
    """Whether the folder has a shard; one that is damaged it has not.

    Raises:
        FolderError: it has one of other items.
    """
    if not stored.has(shard.number):
        return False
    try:
        told = stored.told(shard.number)
    except FolderError:
        return False
    if told["digest"] != shard.digest:
        raise FolderError(
            f"texts {shard.first} to {shard.first + len(shard) - 1}, or what is given for them, are not those in "
            f"{str(stored.folder)!r}; give the same in the same order, or name another folder."
        )
    return True
