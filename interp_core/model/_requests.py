"""What is asked of the model and what comes back: rows of one text, how they are padded and where values enter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from interp_core.model._readout import Readout
from interp_core.text import Encoded
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Injection(Protocol):
    """A place where values (p, t, d) enter the model in place of what it would have computed."""

    @property
    def path(self) -> str: ...

    def open(self, values: Float[Tensor, "p t d"]) -> AbstractContextManager[Any]:
        """Within it one pass of the model goes on from these values."""
        ...


Side = Literal["both", "source", "target"]


@dataclass
class TextRows:
    """Rows of one text, ready for the model.

    Attributes:
        ids: (p, t).
        attention: which of them the model sees.
        values: what enters in their place, if anything; at a layer of one of two stacks for the tokens it reads.
        leaf: what slopes are wanted of.
        source: how many of the tokens an encoder reads, where a decoder reads the others.
        types: which text of a pair each token is from.
    """

    ids: Int[Tensor, "p t"]
    attention: Bool[Tensor, "p t"]
    values: Float[Tensor, "p s d"] | None = None
    leaf: Tensor | None = None
    source: int = 0
    types: Int[Tensor, "p t"] | None = None


@dataclass(frozen=True)
class PaddedBatch:
    """Rows of several texts, padded at the right; of a model with two stacks the source and the rest each."""

    ids: Int[Tensor, "p t"]
    attention: Bool[Tensor, "p t"]
    values: Tensor | None = None
    source: int = 0
    types: Tensor | None = None

    def seen_by(self, side: Side) -> Bool[Tensor, "p s"]:
        """The mask of the tokens that one of two stacks reads."""
        if not self.source or side == "both":
            return self.attention
        return self.attention[:, : self.source] if side == "source" else self.attention[:, self.source :]


@dataclass
class GeneratorRows(TextRows):
    """A block of a generator, with the positions whose logits are read."""

    positions: tuple[int, ...] = ()


@dataclass
class ModelRequest:
    """What one text asks of the model.

    Attributes:
        lengths: the number of tokens of each of its p rows.
        build: from row numbers to a `TextRows`; with `leaf` set when gradients are wanted.
        readout: from logits to scores; None when only hidden states or raw logits are wanted.
        injection: where `TextRows.values` enter; None for plain ids.
        gradients: whether the slopes of the scores with respect to `TextRows.leaf` are wanted.
        read: a module whose output is wanted, or several, whose outputs are then joined along the width.
        stop: whether the pass may end there.
        logits: whether the logits themselves are wanted.
    """

    lengths: Int[Tensor, " p"]
    build: Callable[[Int[Tensor, " b"]], TextRows]
    readout: Readout | None = None
    injection: Injection | None = None
    gradients: bool = False
    read: str | tuple[str, ...] | None = None
    stop: bool = False
    logits: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The modules whose outputs are wanted."""
        return (self.read,) if isinstance(self.read, str) else self.read or ()

    @property
    def route(self) -> tuple[Any, ...]:
        """Requests of equal route can share a pass."""
        gathers = bool(self.readout and self.readout.gathers)
        return (id(self.injection), self.gradients, self.read, self.stop, gathers)


@dataclass
class ModelOutput:
    """What came back for the rows of a request, in their order; on the model's device for scores, detached."""

    scores: list[Tensor] = field(default_factory=list)  # each (k)
    gradients: list[Tensor] = field(default_factory=list)  # each (k, f, d)
    hidden: list[Tensor] = field(default_factory=list)  # each (t, d)
    logits: list[Tensor] = field(default_factory=list)  # each (v); with padding (t, v) or (2, t), where asked for


def whole_text(encoded: Encoded, values: Tensor | None = None) -> Callable[[Tensor], TextRows]:
    """Builds the rows of a text as it is, with `values` (1, t, d) entering, if given."""

    def build(rows: Tensor) -> TextRows:
        p = len(rows)
        mask = torch.ones(p, len(encoded), dtype=torch.bool)
        entering = None if values is None else values.expand(p, -1, -1)
        return text_rows(encoded, mask, entering)

    return build


def text_rows(encoded: Encoded, mask: Bool[Tensor, "p t"], values: Tensor | None = None) -> TextRows:
    """Rows of one text with these masks."""
    p = len(mask)
    types = None if encoded.types is None else encoded.types.expand(p, -1)
    return TextRows(encoded.ids.expand(p, -1), mask, values, source=encoded.source, types=types)


def padded(blocks: Sequence[TextRows], pad_id: int, side: Side = "both") -> PaddedBatch:
    """Several blocks as one batch.

    Args:
        blocks: of one model.
        pad_id: fills short rows.
        side: of a model with two stacks, where the values enter.
    """
    source = max(block.source for block in blocks)
    after = max(block.ids.shape[1] - block.source for block in blocks)

    def laid(values: Tensor, border: int, fill: int) -> Tensor:
        return torch.cat([_right(values[:, :border], source, fill), _right(values[:, border:], after, fill)], dim=1)

    entering = [(b.values, b.source) for b in blocks if b.values is not None]
    values = None
    if entering and (side == "both" or not source):
        values = torch.cat([laid(v, border, 0) for v, border in entering])
    elif entering:
        values = torch.cat([_right(v, source if side == "source" else after, 0) for v, _ in entering])
    typed = any(b.types is not None for b in blocks)
    types = [torch.zeros_like(b.ids) if b.types is None else b.types for b in blocks]
    return PaddedBatch(
        torch.cat([laid(b.ids, b.source, pad_id) for b in blocks]),
        torch.cat([laid(b.attention, b.source, 0) for b in blocks]),
        values,
        source,
        torch.cat([laid(t, b.source, 0) for t, b in zip(types, blocks, strict=True)]) if typed else None,
    )


def _right(values: Tensor, length: int, fill: int) -> Tensor:
    missing = length - values.shape[1]
    if not missing:
        return values
    shape = (values.shape[0], missing, *values.shape[2:])
    return torch.cat([values, values.new_full(shape, fill)], dim=1)


def repeated_positions(block: GeneratorRows, most: int) -> Int[Tensor, "p m"]:
    """The positions of each row of a block, the last one repeated until there are `most`."""
    own = [position - block.source for position in block.positions]
    row = torch.tensor([*own, *[own[-1]] * (most - len(own))])
    return row.expand(len(block.ids), -1)


def collected(rows: dict[int, tuple[Tensor | None, ...]]) -> ModelOutput:
    """The results of rows, by number, as one answer in their order."""
    answer = ModelOutput()
    for row in range(len(rows)):
        for store, value in zip(
            (answer.scores, answer.gradients, answer.hidden, answer.logits), rows[row], strict=True
        ):
            if value is not None:
                store.append(value)
    return answer


def pieces_of(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(count)`."""
    step = max(1, size)
    for start in range(0, count, step):
        yield slice(start, start + step)
