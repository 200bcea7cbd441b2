"""Activations on disk: a folder of safetensors shards, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from interp_core.errors import InputError
from interp_core.results import read_header, reading
from interp_core.text import Unit, with_parts
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

T = TypeVar("T", covariant=True)


def shard_file(folder: Path, number: int) -> Path:
    """The path of a shard."""
    return folder / f"shard-{number:05d}.safetensors"


@dataclass(frozen=True, eq=False)
class Shards:
    """The shards of one store, in order.

    Each shard holds `values` (n, d); for each row `text_of` (within the shard), `unit_of` and `spans` (characters); its
    texts as bytes, with the end of each; and for each text `predictions` and `labels`, if there are any.
    """

    folder: Path
    count: int

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which reads the same folder."""
        return type(self), (self.folder, self.count)

    @cached_property
    def row_starts(self) -> Int[Tensor, " s"]:
        """The index of the first row of each shard, and the total number of rows."""
        return self._starts("values")

    @cached_property
    def text_starts(self) -> Int[Tensor, " s"]:
        """The index of the first text of each shard, and the total number of texts."""
        return self._starts("text_stops")

    def _starts(self, name: str) -> Int[Tensor, " s"]:
        with reading(self.folder):
            sizes = [self._part(i, name, shape=True)[0] for i in range(self.count)]
            return torch.tensor([0, *sizes]).cumsum(0)

    @property
    def width(self) -> int:
        """The number of values d in a row."""
        with reading(self.folder):
            return int(self._part(0, "values", shape=True)[1])

    def column(self, name: str) -> Tensor | None:
        """A column of all shards as one tensor, with the texts numbered across shards; None if any shard lacks it."""
        parts = [self._part(i, name) for i in range(self.count)]
        if any(part is None for part in parts):
            return None
        starts = self.text_starts if name == "text_of" else torch.zeros(self.count)
        with reading(self.folder):
            return torch.cat([p + s if name == "text_of" else p for p, s in zip(parts, starts, strict=False)])

    def rows(self, start: int, stop: int) -> Float[Tensor, "r d"]:
        """Consecutive rows."""
        first, last = self._shard_of(self.row_starts, start), self._shard_of(self.row_starts, max(start, stop - 1))
        offsets = self.row_starts.tolist()
        parts = [
            self._part(i, "values", slice(max(0, start - offsets[i]), stop - offsets[i]))
            for i in range(first, last + 1)
        ]
        with reading(self.folder):
            return torch.cat(parts) if len(parts) > 1 else parts[0]

    def take(self, index: Int[Tensor, " r"]) -> Float[Tensor, "r d"]:
        """Rows at any indices, in the order of the indices."""
        shard = torch.searchsorted(self.row_starts, index, right=True) - 1
        values = torch.empty(len(index), self.width)
        for i in shard.unique().tolist():
            here = shard == i
            with reading(self.folder):
                values[here] = self._part(i, "values", index[here] - self.row_starts[i])
        return values

    @cached_property
    def described(self) -> Any:
        """Maps the number of a shard to its texts and the unit spans of each; caches the last few shards."""

        def read(number: int) -> Any:
            with reading(shard_file(self.folder, number)):
                return self._described(number)

        return lru_cache(maxsize=4)(read)

    def _described(self, number: int) -> tuple[list[str], list[tuple[tuple[int, int], ...]]]:
        stops = [0, *self._part(number, "text_stops").tolist()]
        whole = self._part(number, "texts").numpy().tobytes()
        plain = [whole[a:b].decode("utf-8") for a, b in pairwise(stops)]
        texts = with_parts(plain, self.record(number).get("parts", {}))
        spans: list[list[tuple[int, int]]] = [[] for _ in texts]
        columns = (self._part(number, "text_of").tolist(), self._part(number, "spans").tolist())
        for text, (start, stop) in zip(*columns, strict=True):
            spans[text].append((start, stop))
        return texts, [tuple(s) for s in spans]

    def about(self, text: int) -> tuple[str, tuple[tuple[int, int], ...]]:
        """A text and the spans of its units."""
        number = self._shard_of(self.text_starts, text)
        texts, spans = self.described(number)
        index = text - int(self.text_starts[number])
        return texts[index], spans[index]

    def record(self, number: int) -> dict[str, Any]:
        """The JSON values of a shard."""
        with reading(shard_file(self.folder, number)), self._opened(number) as file:
            return dict(read_header(file)["data"])

    @staticmethod
    def _shard_of(starts: Tensor, number: int) -> int:
        return int(torch.searchsorted(starts, torch.tensor(number), right=True)) - 1

    def _part(self, number: int, name: str, at: slice | Tensor | None = None, shape: bool = False) -> Any:
        """A tensor of a shard, a part of it, or its shape; copied, so that the file does not stay mapped."""
        with self._opened(number) as file:
            if name not in file.keys():  # noqa: SIM118 - not a dict
                return None
            stored = file.get_slice(name)
            if shape:
                return stored.get_shape()
            return file.get_tensor(name)[at].clone() if isinstance(at, Tensor) else stored[at or slice(None)].clone()

    @contextmanager
    def _opened(self, number: int) -> Iterator[Any]:
        path = shard_file(self.folder, number)
        try:
            with safe_open(path, framework="pt") as file:
                yield file
        except (SafetensorError, OSError) as error:
            raise InputError(f"the shard {path.name!r} of the store is missing or damaged: {error}") from error


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of a store. Indexing reads them into a tensor in memory."""

    shards: Shards
    index: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return int(self.shards.row_starts[-1]) if self.index is None else len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self), self.shards.width

    def __getitem__(self, at: slice | Tensor) -> Float[Tensor, "r d"]:
        if isinstance(at, slice) and self.index is None:
            start, stop, step = at.indices(len(self))
            if step == 1:
                return self.shards.rows(start, stop) if stop > start else torch.empty(0, self.shards.width)
        every = torch.arange(len(self)) if self.index is None else self.index
        return self.shards.take(every[at])

    def only(self, keep: Bool[Tensor, " n"]) -> StoredRows:
        """The rows for which `keep` is True; nothing is read."""
        every = torch.arange(len(self)) if self.index is None else self.index
        return StoredRows(self.shards, every[keep])


class Lazy(Sequence[T]):
    """A sequence whose items are computed on access.

    Args:
        make: maps a number to its item.
        numbers: the numbers of the items, in order.
    """

    def __init__(self, make: Callable[[int], T], numbers: Sequence[int]) -> None:
        self.make, self.numbers = make, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which gets the items."""
        return tuple, (tuple(self),)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return Lazy(self.make, self.numbers[at]) if isinstance(at, slice) else self.make(self.numbers[at])

    def __iter__(self) -> Iterator[T]:
        return (self.make(i) for i in self.numbers)

    def only(self, chosen: Sequence[int]) -> Lazy[T]:
        """The items at the chosen positions."""
        return Lazy(self.make, [self.numbers[i] for i in chosen])


def texts_of(shards: Shards) -> Lazy[str]:
    """The texts of a store."""
    return Lazy(lambda i: shards.about(i)[0], range(int(shards.text_starts[-1])))


def units_of(shards: Shards) -> Lazy[tuple[Unit, ...]]:
    """The units of each text of a store."""

    @lru_cache(maxsize=8)  # rows of one text are consecutive
    def units(i: int) -> tuple[Unit, ...]:
        text, spans = shards.about(i)
        return tuple(Unit(text[a:b], a, b) for a, b in spans)

    return Lazy(units, range(int(shards.text_starts[-1])))


def only(items: Sequence[T], chosen: list[int]) -> Sequence[T]:
    """The items at the chosen positions; those of a store are still computed on access."""
    return items.only(chosen) if isinstance(items, Lazy) else tuple(items[i] for i in chosen)


def cut_notes(cut: int, texts: int, tokens: int) -> tuple[str, ...]:
    """Write the note about texts that were longer than the model accepts.

    Args:
        cut: the number of texts that were truncated.
        texts: the number of texts.
        tokens: the maximum number of tokens of a text.

    Returns:
        One note, or none if no text was truncated.

    Examples:
        >>> from interp_core.activations import cut_notes
        >>> cut_notes(2, 100, 512)
        ('2 of 100 texts were cut to the 512 tokens that the model takes.',)
        >>> cut_notes(0, 100, 512)
        ()
    """
    return (f"{cut} of {texts} texts were cut to the {tokens} tokens that the model takes.",) if cut else ()
