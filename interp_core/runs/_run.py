"""Works on the shards of a run, writes each as it comes, and passes over those that a folder has already."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from interp_core.errors import InputError
from interp_core.runs._executor import executor_of
from interp_core.runs._folder import Folder
from interp_core.runs._packing import State
from interp_core.runs._shard import Shard
from interp_core.runs._stored import StoredShards
from tqdm.auto import tqdm

Done = tuple[State, dict[str, Any]]  # a packed state, and JSON values that the run tells of the shard


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
) -> Iterator[tuple[State | None, dict[str, Any]]]:
    """Work on shards, in order.

    Args:
        work: what is done with a shard; another process may be sent it.
        shards: the shards.
        folder: where they are written; None to yield their states. Shards that it has already are passed over, once
            they have been compared with those given.
        executor: where they are worked on, see `executor_of`.
        description: the label of the progress bar.
        total: how many items there are in all shards; None where it is not known.
        unit: what an item is called there.
        progress: show a progress bar, with an estimate of the time left, in a terminal or notebook.

    Yields:
        For each shard its state, or None if it is in the folder, and what the run tells of it: with `items`, how many
        there were, and `digest`.

    Raises:
        InputError: the folder cannot be resumed, see `Folder.begin`, or has shards of other items than those given; or
            there are no items.

    Examples:
        >>> from interp_core.runs import packed, run_shards, shards_of
        >>> def work(shard):
        ...     return packed([({}, {"length": len(text)}) for text in shard.items]), {"first": shard.first}
        >>> for state, told in run_shards(work, shards_of(["a", "bc", "d"], 2, {}), description="count"):
        ...     told["first"], told["items"], state[1]["own"]
        (0, 2, [{'length': 1}, {'length': 2}])
        (2, 1, [{}])
    """
    stored = None if folder is None else StoredShards(folder.folder)
    done = 0 if folder is None or stored is None else folder.begin(stored.has)
    complete = folder is not None and done > 0 and folder.complete
    seen, values = 0, []
    bar = tqdm(total=total, desc=description, unit=unit, disable=not progress or None, leave=False)
    with bar:
        for state, told in _each(work, shards, stored, (done, complete), executor_of(executor)):
            seen += 1
            values.append(told["values"])
            bar.update(told["items"])
            yield state, told
    if folder is not None and seen:
        if seen < done:
            raise InputError(f"{str(folder.folder)!r} holds more texts than were given; give the same texts.")
        folder.write({"complete": True, "shards": seen, "told": {"values": values}})


def _each(
    work: Callable[[Shard], Done],
    shards: Iterator[Shard],
    stored: StoredShards | None,
    progress: tuple[int, bool],
    executor: Any,
) -> Iterator[tuple[State | None, dict[str, Any]]]:
    """The shards in the folder, and then those that are worked on now."""
    done, complete = progress
    first = None
    for shard in shards:
        if stored is None or shard.number >= done:
            first = shard
            break
        told = stored.told(shard.number)
        if told["digest"] != shard.digest:
            raise InputError(
                f"texts {shard.first} to {shard.first + len(shard) - 1}, or what is given for them, are not those in "
                f"{str(stored.folder)!r}; give the same texts in the same order, or name another folder."
            )
        yield None, told
    if first is None:
        return
    if stored is not None and complete:
        raise InputError(
            f"the run in {str(stored.folder)!r} is complete and more texts were given; name another folder."
        )
    given: deque[Shard] = deque()

    def pending() -> Iterator[Shard]:
        for shard in chain([first], shards):
            given.append(shard)
            yield shard

    for state, said in executor.map(work, pending()):
        shard = given.popleft()
        told = {"items": len(shard), "digest": shard.digest, "values": state[1]["count"], **said}
        if stored is not None:
            stored.write(shard.number, state, told)
        yield (state if stored is None else None), told
