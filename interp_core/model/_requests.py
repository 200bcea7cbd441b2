"""Requests to the model and their outputs: the rows of one text, how they are padded and where values enter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from interp_core.model._logits_to_scores import Readout
from interp_core.text import Encoded
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Injection(Protocol):
    """Protocol of a place where values (p, t, d) enter the model and replace what it would have computed.

    Examples:
        >>> from interp_core.model import Injection
        >>> from interp_core.testing import tiny_classifier
        >>> place = tiny_classifier().split(0).injection
        >>> isinstance(place, Injection), place.path
        (True, 'bert.encoder.layer.0')
    """

    @property
    def path(self) -> str:
        """The path of the module at which the values enter."""
        ...

    def open(self, values: Float[Tensor, "p t d"]) -> AbstractContextManager[Any]:
        """Open a context in which one pass of the model continues from these values."""
        ...


Side = Literal["both", "source", "target"]


@dataclass
class TextRows:
    """Rows of one text, ready for the model.

    Attributes:
        ids: (p, t) the token ids.
        attention: (p, t) True for the tokens that the model sees.
        values: (p, s, d) the values that enter in place of what the model computes, if any; in an encoder-decoder
            model, only those of the s tokens of the layer's side.
        leaf: (p, f, d) the tensor with respect to which gradients are computed.
        source: the number of tokens that the encoder reads, the decoder reads the rest; 0 for models with one stack.
        types: (p, t) for a pair of texts, the number of the text that each token belongs to.
        reference: (t, w) the states that closed gates let through, the same for all rows.

    Examples:
        The second row hides the third token, "sad", from attention.

        >>> from interp_core.model import TextRows
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> ids = model.encoder("happy sad").ids.expand(2, -1)
        >>> rows = TextRows(ids, torch.tensor([[True, True, True, True], [True, True, False, True]]))
        >>> model.forward(rows.ids, rows.attention)["logits"].tolist()
        [[2.0, 3.0], [2.0, 0.0]]
    """

    ids: Int[Tensor, "p t"]
    attention: Bool[Tensor, "p t"]
    values: Float[Tensor, "p s d"] | None = None
    leaf: Tensor | None = None
    source: int = 0
    types: Int[Tensor, "p t"] | None = None
    reference: Float[Tensor, "t w"] | None = field(default=None, kw_only=True)

    def part(self, tokens: slice) -> TextRows:
        """Take a slice of the tokens, of a text without decoder and leaf."""
        return TextRows(
            self.ids[:, tokens],
            self.attention[:, tokens],
            None if self.values is None else self.values[:, tokens],
            types=None if self.types is None else self.types[:, tokens],
        )


@dataclass(frozen=True)
class PaddedBatch:
    """Rows of several texts, padded on the right; for an encoder-decoder model, source and target are each padded.

    Attributes:
        ids: (p, t) the token ids.
        attention: (p, t) True for the tokens that the model sees; False for padding.
        values: (p, s, d) the values that enter at an injection, if any.
        source: the number of positions that the encoder reads; 0 for models with one stack.
        types: (p, t) for pairs of texts, the number of the text that each token belongs to.
        past: the keys and values of tokens before these, all of them seen; None if there are none.
        keeps: whether the model returns the keys and values of these tokens.
        references: for each text with a reference, its rows, its reference and its number of source tokens.

    Examples:
        Two rows of an encoder-decoder model, of which the second has a target that is one token shorter.

        >>> from interp_core.model import PaddedBatch
        >>> ids = torch.tensor([[2, 7, 9, 3], [2, 9, 3, 0]])
        >>> batch = PaddedBatch(ids, ids != 0, source=2)
        >>> batch.seen_by("target")
        tensor([[ True,  True],
                [ True, False]])
    """

    ids: Int[Tensor, "p t"]
    attention: Bool[Tensor, "p t"]
    values: Tensor | None = None
    source: int = 0
    types: Tensor | None = None
    past: Any = None
    keeps: bool = False
    references: tuple[tuple[slice, Tensor, int], ...] = ()

    def seen_by(self, side: Side) -> Bool[Tensor, "p s"]:
        """Select the attention mask of one side of an encoder-decoder model, or of all tokens.

        Args:
            side: `"source"` for the tokens that the encoder reads, `"target"` for those of the decoder, or `"both"`.

        Returns:
            (p, s) True for the tokens that the model sees. Without a decoder, all tokens are on both sides.
        """
        if not self.source or side == "both":
            return self.attention
        return self.attention[:, : self.source] if side == "source" else self.attention[:, self.source :]


@dataclass
class GeneratorRows(TextRows):
    """Rows of a text for a model that predicts tokens, with the positions whose logits are read.

    Only the states at these positions reach the vocabulary head, which saves most of its memory.

    Attributes:
        positions: the m positions in the sequence, source included, the same for all rows, or (p, m) for each row.

    Examples:
        >>> from interp_core.model import BatchRunner, GeneratorRows, ModelRequest
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> encoded = model.encoder("so happy today")
        >>> mask = torch.ones(1, len(encoded), dtype=torch.bool)
        >>> rows = GeneratorRows(encoded.ids[None], mask, positions=(2,))
        >>> request = ModelRequest(torch.tensor([len(encoded)]), lambda numbers: rows)
        >>> len(encoded), BatchRunner(model).forward([rows], request).logits.shape[:2]
        (5, torch.Size([1, 1]))
    """

    positions: tuple[int, ...] | Int[Tensor, "p m"] = ()

    @property
    def read(self) -> int:
        """The number m of positions that are read in each row."""
        return self.positions.shape[1] if isinstance(self.positions, Tensor) else len(self.positions)

    def part(self, tokens: slice) -> GeneratorRows:
        """Take a slice of the tokens, with the positions read among them, or else the first one."""
        first, after, _ = tokens.indices(self.ids.shape[1])
        if isinstance(self.positions, Tensor):
            return GeneratorRows(**vars(super().part(tokens)), positions=(self.positions - first).clamp(min=0))
        positions = tuple(position - first for position in self.positions if first <= position < after)
        return GeneratorRows(**vars(super().part(tokens)), positions=positions or (0,))


@dataclass
class ModelRequest:
    """A request to the model: the rows of one text to evaluate, and what to return for them.

    Attributes:
        lengths: (p) the number of tokens of each row.
        build: a function from row numbers to their `TextRows`, with their `leaf` where gradients are requested.
        readout: maps logits to scores; None for hidden states or raw logits only.
        injection: where `TextRows.values` enter; None for plain ids.
        gradients: whether to return the gradients of the scores with respect to `TextRows.leaf`.
        read: the path of a module whose output is returned, or of several, which are concatenated along the width.
        stop: whether to end the pass once these modules have run.
        logits: whether to return the logits as well. Those of a classifier are always returned.
        whole: a function that makes the row of the text itself, for a request about its variants.
        stays: (p, t) False for the tokens that differ from those of `whole`.
        unchanged: (p) the number of leading tokens of each row that need not run again, since `whole` has them; None to
            run all. It is set when the request is run.

    Examples:
        >>> from interp_core.model import BatchRunner, ModelRequest, Target, readout_of, whole_text
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> encoded = model.encoder("happy sad sad")
        >>> readout = readout_of((Target("class 1", 1),), "logit", model.head)
        >>> request = ModelRequest(torch.tensor([len(encoded)]), whole_text(encoded), readout)
        >>> BatchRunner(model).run([request])[0].scores
        [tensor([6.])]
    """

    lengths: Int[Tensor, " p"]
    build: Callable[[Int[Tensor, " b"]], TextRows]
    readout: Readout | None = None
    injection: Injection | None = None
    gradients: bool = False
    read: str | tuple[str, ...] | None = None
    stop: bool = False
    logits: bool = False
    whole: Callable[[], TextRows] | None = None
    stays: Bool[Tensor, "p t"] | None = None
    unchanged: Int[Tensor, " p"] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the modules whose outputs are returned."""
        return (self.read,) if isinstance(self.read, str) else self.read or ()

    @property
    def route(self) -> tuple[Any, ...]:
        """The key of the request; requests with equal keys can share a pass."""
        gathers = bool(self.readout and self.readout.gathers)
        alone = None if self.unchanged is None else id(self)
        return (id(self.injection), self.gradients, self.read, self.stop, gathers, alone)

    @property
    def tokens(self) -> Int[Tensor, " p"]:
        """(p) The number of tokens of each row that the model runs."""
        return self.lengths if self.unchanged is None else self.lengths - self.unchanged


@dataclass
class ModelOutput:
    """The outputs for the rows of a request, in order; tensors are detached.

    Scores and the logits of a classifier are on the CPU; gradients, hidden states and logits at each token stay on the
    device of the model.

    Attributes:
        scores: for each row, the scores of the targets (k); empty without a readout.
        gradients: for each row, the gradients of the scores (k, f, d); empty unless requested.
        hidden: for each row, the states of the modules that were read (t, d), without padding; empty unless requested.
        logits: for each row, the logits: (v), (t, v) for a prediction at each token, or (2, t) for the start and stop
            of a span. The last two include padding.

    Examples:
        >>> from interp_core.model import BatchRunner, ModelRequest, whole_text
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> encoded = model.encoder("so happy today")
        >>> request = ModelRequest(torch.tensor([len(encoded)]), whole_text(encoded), read=model.blocks[0])
        >>> (output,) = BatchRunner(model).run([request])
        >>> output.hidden[0].shape, output.logits[0].shape, output.scores
        (torch.Size([5, 16]), torch.Size([3]), [])
    """

    scores: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)


def whole_text(encoded: Encoded, values: Tensor | None = None) -> Callable[[Tensor], TextRows]:
    """Make the `ModelRequest.build` of a text all of whose tokens are seen.

    Args:
        encoded: the text, of t tokens.
        values: (1, t, d) the values that enter in every row; None for plain ids.

    Returns:
        A function from p row numbers to p equal rows.

    Examples:
        >>> from interp_core.model import whole_text
        >>> from interp_core.testing import tiny_classifier
        >>> build = whole_text(tiny_classifier().encoder("so happy today"))
        >>> build(torch.arange(3)).ids.shape
        torch.Size([3, 5])
    """

    def build(rows: Tensor) -> TextRows:
        p = len(rows)
        mask = torch.ones(p, len(encoded), dtype=torch.bool)
        entering = None if values is None else values.expand(p, -1, -1)
        return text_rows(encoded, mask, entering)

    return build


def text_rows(encoded: Encoded, mask: Bool[Tensor, "p t"], values: Tensor | None = None) -> TextRows:
    """Make rows of one text, one for each attention mask.

    Args:
        encoded: the text, of t tokens.
        mask: (p, t) True for the tokens that the model sees.
        values: (p, t, d) the values that enter; None for plain ids.

    Returns:
        The p rows, with the ids of the text.

    Examples:
        >>> from interp_core.model import text_rows
        >>> from interp_core.testing import tiny_classifier
        >>> encoded = tiny_classifier().encoder("so happy")
        >>> rows = text_rows(encoded, torch.tensor([[True, True, True, True], [True, True, False, True]]))
        >>> rows.ids.shape, rows.attention.sum(1)
        (torch.Size([2, 4]), tensor([4, 3]))
    """
    p = len(mask)
    types = None if encoded.types is None else encoded.types.expand(p, -1)
    return TextRows(encoded.ids.expand(p, -1), mask, values, source=encoded.source, types=types)


def padded(rows: Sequence[TextRows], pad_id: int, side: Side = "both") -> PaddedBatch:
    """The rows of several texts as one batch.

    Args:
        rows: the rows of each text.
        pad_id: the id that fills short rows.
        side: for an encoder-decoder model, the side at which the values enter.
    """
    source = max(r.source for r in rows)
    target = max(r.ids.shape[1] - r.source for r in rows)

    def aligned(values: Tensor, border: int, fill: int) -> Tensor:
        if not source:
            return _pad_right(values, target, fill)
        halves = _pad_right(values[:, :border], source, fill), _pad_right(values[:, border:], target, fill)
        return torch.cat(halves, dim=1)

    entering = [(r.values, r.source) for r in rows if r.values is not None]
    values = None
    if entering and (side == "both" or not source):
        values = torch.cat([aligned(v, border, 0) for v, border in entering])
    elif entering:
        values = torch.cat([_pad_right(v, source if side == "source" else target, 0) for v, _ in entering])
    typed = any(r.types is not None for r in rows)
    types = [torch.zeros_like(r.ids) if r.types is None else r.types for r in rows]
    return PaddedBatch(
        torch.cat([aligned(r.ids, r.source, pad_id) for r in rows]),
        torch.cat([aligned(r.attention, r.source, 0) for r in rows]),
        values,
        source,
        torch.cat([aligned(t, r.source, 0) for t, r in zip(types, rows, strict=True)]) if typed else None,
        references=tuple(_references(rows)),
    )


def _references(rows: Sequence[TextRows]) -> Iterator[tuple[slice, Tensor, int]]:
    """The rows of each text that brings a reference along, with that and the number of its source tokens."""
    start = 0
    for one in rows:
        if one.reference is not None:
            yield slice(start, start + len(one.ids)), one.reference, one.source
        start += len(one.ids)


def _pad_right(values: Tensor, length: int, fill: int) -> Tensor:
    missing = length - values.shape[1]
    if not missing:
        return values
    shape = (values.shape[0], missing, *values.shape[2:])
    return torch.cat([values, values.new_full(shape, fill)], dim=1)


def repeated_positions(rows: GeneratorRows, count: int) -> Int[Tensor, "p m"]:
    """The positions that each row reads, with the last one repeated until there are `count`."""
    own = (torch.as_tensor(rows.positions) - rows.source).expand(len(rows.ids), -1)
    return torch.cat([own, own[:, -1:].expand(-1, count - own.shape[1])], dim=1)


def collected(rows: dict[int, tuple[Tensor | None, ...]]) -> ModelOutput:
    """The results of rows, given by row number, as one output in their order."""
    output = ModelOutput()
    for row in range(len(rows)):
        columns = output.scores, output.gradients, output.hidden, output.logits
        for column, value in zip(columns, rows[row], strict=True):
            if value is not None:
                column.append(value)
    return output


def pieces_of(count: int, size: int) -> Iterator[slice]:
    """Divide `range(count)` into consecutive slices.

    Args:
        count: the number of items; 0 gives no slices.
        size: the maximum number of items in a slice; values below 1 count as 1.

    Yields:
        The slices, in order.

    Examples:
        >>> from interp_core.model import pieces_of
        >>> ["abcde"[piece] for piece in pieces_of(5, 2)]
        ['ab', 'cd', 'e']
    """
    step = max(1, size)
    for start in range(0, count, step):
        yield slice(start, start + step)
