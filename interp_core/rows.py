"""What is asked of the model and what comes back: rows of one text, how they are padded and where values enter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from interp_core.targets import Readout
from interp_core.text import Encoded
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Entry(Protocol):
    """A place where values (p, t, d) enter the model in place of what it would have computed."""

    @property
    def path(self) -> str: ...

    def open(self, values: Float[Tensor, "p t d"]) -> AbstractContextManager[Any]:
        """Within it one pass of the model goes on from these values."""
        ...


@dataclass
class Block:
    """Rows of one text, ready for the model: ids and mask (p, t), and what enters in their place, if anything."""

    ids: Int[Tensor, "p t"]
    attention: Bool[Tensor, "p t"]
    values: Float[Tensor, "p t d"] | None = None
    leaf: Tensor | None = None


@dataclass
class PositionedBlock(Block):
    """A block of a generator, with the positions whose logits are read."""

    positions: tuple[int, ...] = ()


@dataclass
class Request:
    """What one text asks of the model.

    Attributes:
        lengths: the number of tokens of each of its p rows.
        build: from row numbers to a `Block`; with `leaf` set when gradients are wanted.
        readout: from logits to scores; None when only hidden states or raw logits are wanted.
        entry: where `Block.values` enter; None for plain ids.
        gradients: whether the slopes of the scores with respect to `Block.leaf` are wanted.
        read: a module whose output is wanted.
        stop: whether the pass may end there.
    """

    lengths: Int[Tensor, " p"]
    build: Callable[[Int[Tensor, " b"]], Block]
    readout: Readout | None = None
    entry: Entry | None = None
    gradients: bool = False
    read: str | None = None
    stop: bool = False

    @property
    def route(self) -> tuple[Any, ...]:
        """Requests of equal route can share a pass."""
        generates = bool(self.readout and self.readout.positions)
        return (id(self.entry), self.gradients, self.read, self.stop, generates)


@dataclass
class Answer:
    """What came back for the rows of a request, in their order; on the model's device for scores, detached."""

    scores: list[Tensor] = field(default_factory=list)  # each (k)
    gradients: list[Tensor] = field(default_factory=list)  # each (k, f, d)
    hidden: list[Tensor] = field(default_factory=list)  # each (t, d)
    logits: list[Tensor] = field(default_factory=list)  # each (v), classifiers only


def whole_text(encoded: Encoded, values: Tensor | None = None) -> Callable[[Tensor], Block]:
    """Builds the rows of a text as it is, with `values` (1, t, d) entering, if given."""
    ids = encoded.ids[None]

    def build(rows: Tensor) -> Block:
        mask = torch.ones(len(rows), len(encoded), dtype=torch.bool)
        entering = None if values is None else values.expand(len(rows), -1, -1)
        return Block(ids.expand(len(rows), -1), mask, entering)

    return build


def padded(blocks: Sequence[Block], pad_id: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, mask and entering values of several blocks as one batch, padded at the right."""
    longest = max(block.ids.shape[1] for block in blocks)
    ids = torch.cat([_right(b.ids, longest, pad_id) for b in blocks])
    attention = torch.cat([_right(b.attention, longest, 0) for b in blocks])
    entering = [b.values for b in blocks]
    if entering[0] is None:
        return ids, attention, None
    return ids, attention, torch.cat([_right(v, longest, 0) for v in entering if v is not None])


def _right(values: Tensor, length: int, fill: int) -> Tensor:
    missing = length - values.shape[1]
    if not missing:
        return values
    shape = (values.shape[0], missing, *values.shape[2:])
    return torch.cat([values, values.new_full(shape, fill)], dim=1)


def repeated_positions(block: PositionedBlock, most: int) -> Int[Tensor, "p m"]:
    """The positions of each row of a block, the last one repeated until there are `most`."""
    last = block.positions[-1]
    row = torch.tensor([*block.positions, *[last] * (most - len(block.positions))])
    return row.expand(len(block.ids), -1)


def collected(rows: dict[int, tuple[Tensor | None, ...]]) -> Answer:
    """The results of rows, by number, as one answer in their order."""
    answer = Answer()
    for row in range(len(rows)):
        for store, value in zip(
            (answer.scores, answer.gradients, answer.hidden, answer.logits), rows[row], strict=True
        ):
            if value is not None:
                store.append(value)
    return answer


def pieces_of(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(count)`."""
    for start in range(0, count, max(1, size)):
        yield slice(start, start + size)
