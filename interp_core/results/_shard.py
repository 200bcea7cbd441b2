"""Shards: consecutive items of a run, such as texts, with what is given for each; cut by the settings alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from interp_core.errors import InputError
from interp_core.results._described import described

SHARD_SIZE = 64  # what a kill costs at most, what a worker takes at a time, and what shares passes


@dataclass(frozen=True)
class Shard:
    """A shard: consecutive items of a run, such as texts.

    Attributes:
        number: the number of the shard, from 0.
        first: the number of its first item in the run.
        items: the items.
        beside: columns with a value for each item, by name.
        value: what the items refer to, such as activations; None where the items are sufficient.

    Examples:
        >>> from interp_core.results import Shard
        >>> shard = Shard(2, 128, ("so happy", "sad"), {"labels": (1, 0)})
        >>> len(shard), shard.digest == Shard(2, 128, ("so happy", "sad"), {"labels": (1, 1)}).digest
        (2, False)
    """

    number: int
    first: int
    items: tuple[Any, ...]
    beside: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    value: Any = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def digest(self) -> str:
        """A digest of the content, by which a resumed run recognises it."""
        content = described([self.items, dict(self.beside), self.value])
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def shards_of(items: Iterable[Any], size: int, beside: Mapping[str, Iterable[Any]]) -> Iterator[Shard]:
    """Divide items into shards, lazily.

    Args:
        items: an iterable of items, such as texts, which is read only as far as the shards are.
        size: the number of items in each shard but the last.
        beside: iterables of values for each item, by name.

    Yields:
        The shards, in order.

    Raises:
        InputError: `size` is not a whole number of at least 1, or a column is shorter or longer than the items.

    Examples:
        >>> from interp_core.results import shards_of
        >>> endless = (f"text {i}" for i in range(10**9))
        >>> next(shards_of(endless, 2, {})).items
        ('text 0', 'text 1')
    """
    return _cut(iter(items), check_shard_size(size), {name: iter(values) for name, values in beside.items()})


def check_shard_size(size: Any) -> int:
    """Check a value of `shard_size`.

    Args:
        size: the value.

    Returns:
        The number, at least 1.

    Raises:
        InputError: `size` is not a whole number of at least 1.

    Examples:
        >>> from interp_core.results import check_shard_size
        >>> check_shard_size(64)
        64
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"shard_size is {size!r}; a whole number from 1 was expected.")
    return size


def _cut(items: Iterator[Any], size: int, columns: dict[str, Iterator[Any]]) -> Iterator[Shard]:
    first = 0
    for number in count():
        some = tuple(islice(items, size))
        values = {name: tuple(islice(column, len(some))) for name, column in columns.items()}
        for name, column in values.items():
            if len(column) < len(some):
                raise InputError(
                    f"{first + len(column)} {name} were given for more texts; one for each text was expected."
                )
        if len(some) < size:
            for name, left in columns.items():
                if next(left, columns) is not columns:
                    raise InputError(f"more {name} than texts were given; {first + len(some)} were expected.")
        if some:
            yield Shard(number, first, some, values)
        if len(some) < size:
            return
        first += len(some)
