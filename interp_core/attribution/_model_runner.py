"""Computes the scores of a question about one text: the features enter the model at an injection, the readout scores
the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from interp_core.attribution._removal import Absence, removed
from interp_core.errors import UnsupportedError
from interp_core.model import (
    BatchRunner,
    GeneratorRows,
    Injection,
    ModelOutput,
    ModelRequest,
    Readout,
    TextRows,
    pieces_of,
    text_rows,
)
from interp_core.text import Encoded
from jaxtyping import Bool, Float, Int
from torch import Tensor

Ask = Callable[[ModelRequest], ModelOutput]  # how a request reaches the batch runner
Insert = Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p t w"]]


@dataclass
class ModelRunner:
    """Computes the scores of a question about one text of a model.

    Attributes:
        batch_runner: calls the model.
        encoded: the text.
        readout: maps logits to scores.
        injection: where the features enter the model.
        insert: maps features (p, f, d) to the values (p, t, w) that enter, w wide.
        x: (f, d) the features of the unchanged text.
        absent: what replaces a removed unit.
        owners: (f) the unit of each feature, -1 for a feature that is never removed.
        ask: sends a request to the batch runner, possibly in passes shared with other texts; by itself if None.

    Examples:
        >>> from interp_core.attribution import Options, Session
        >>> from interp_core.testing import planted_model
        >>> session = Session(planted_model({"happy": (3.0, -1.0)}), Options(progress=False))
        >>> (prepared,) = session.prepare(["so happy"], 0, "word")
        >>> runner = session.alone(prepared).runner
        >>> type(runner).__name__, runner.x.shape  # [CLS] so happy [SEP], embeddings of width 2
        ('ModelRunner', torch.Size([4, 2]))
        >>> runner.masked(torch.tensor([[True, True], [True, False]]))
        tensor([[3.], [0.]])
    """

    batch_runner: BatchRunner
    encoded: Encoded
    readout: Readout
    injection: Injection
    insert: Insert
    x: Tensor
    absent: Absence
    owners: Tensor
    ask: Ask | None = None

    def _output(self, request: ModelRequest) -> ModelOutput:
        return self.batch_runner.run([request])[0] if self.ask is None else self.ask(request)

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        if x.requires_grad and torch.is_grad_enabled():
            return self._differentiable(x)
        return self._scores(len(x), lambda rows: self._rows_of(x[rows.to(x.device)]), injection=self.injection)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        if self.absent.mode == "features":
            base, owners = self.absent.baseline, self.owners
            build = lambda rows: self._rows_of(removed(keep[rows], self.x, base, owners))  # noqa: E731
            return self._scores(len(keep), build, injection=self.injection)
        stays = torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)[:, self.owners.cpu()]
        if self.absent.mode == "attention":
            for side in (stays[:, : self.encoded.source], stays[:, self.encoded.source :]):
                side[:, :1] |= ~side.any(dim=1, keepdim=True)  # a model must see a token: the first one stays
            return self._scores(len(keep), lambda rows: self._rows_of(None, len(rows), attention=stays[rows]))
        lengths = stays.sum(1).clamp(min=1)
        return self._scores(len(keep), lambda rows: self._shorter_rows(stays[rows]), lengths)

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """The model's own decision for p variants, see `Question.decides`.

        Raises:
            TargetError: the model is a regression, which decides nothing.
        """
        return replace(self, readout=self.readout.deciding()).masked(keep).long()

    def moved(self, x: Float[Tensor, "f d"]) -> ModelRunner:
        """A runner for other features, with the same baseline.

        Raises:
            UnsupportedError: units are removed by `"drop"` or `"attention"`, which do not use features.
        """
        if self.absent.mode != "features":
            raise UnsupportedError(
                f"removal={self.absent.name!r} does not use features; choose 'mask', 'mean' or 'zero'."
            )
        return replace(self, x=x)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        for piece in pieces_of(len(x), self._rows_a_piece):
            yield from self._gradients_of(x[piece])

    def _gradients_of(self, x: Float[Tensor, "p f d"]) -> list[Tensor]:
        def build(rows: Tensor) -> TextRows:
            leaf = x[rows.to(x.device)].detach().clone().requires_grad_()
            variants = self._rows_of(leaf)
            variants.leaf = leaf
            return variants

        lengths = torch.full((len(x),), len(self.encoded))
        return self._output(ModelRequest(lengths, build, self.readout, self.injection, gradients=True)).gradients

    def _scores(
        self,
        count: int,
        build: Callable[[Tensor], TextRows],
        lengths: Tensor | None = None,
        injection: Injection | None = None,
    ) -> Tensor:
        if not count:
            return torch.zeros(0, len(self.readout.targets))
        lengths = torch.full((count,), len(self.encoded)) if lengths is None else lengths
        return torch.stack(self._output(ModelRequest(lengths, build, self.readout, injection)).scores)

    def _rows_of(self, x: Tensor | None, count: int = 0, attention: Tensor | None = None) -> TextRows:
        """A row for each variant of the features, or `count` rows of the text as it is."""
        values = None if x is None else self.insert(x)
        p = count if x is None else len(x)
        mask = torch.ones(p, len(self.encoded), dtype=torch.bool) if attention is None else attention
        variants = text_rows(self.encoded, mask, values)
        if self.readout.gathers:
            return GeneratorRows(**vars(variants), positions=self.readout.positions)
        return variants

    def _shorter_rows(self, stays: Bool[Tensor, "p t"]) -> TextRows:
        """Rows without the dropped tokens, padded at the right. A row that would be empty keeps its first token."""
        lengths = stays.sum(1).clamp(min=1)
        order = torch.argsort((~stays).to(torch.int8), dim=1, stable=True)[:, : int(lengths.max())]
        inside = torch.arange(order.shape[1]) < lengths[:, None]
        ids = torch.where(inside, self.encoded.ids[order], self.batch_runner.model.pad_id)
        types = None if self.encoded.types is None else self.encoded.types[order]
        return TextRows(ids, inside, types=types)

    def _differentiable(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Scores with their graph, in passes of this text alone that keep to the token budget."""
        request = ModelRequest(torch.zeros(0, dtype=torch.long), self._rows_of, self.readout, self.injection)
        parts = [torch.zeros(0, len(self.readout.targets), device=x.device)]
        for piece in pieces_of(len(x), 1 if self.batch_runner.model.one_row_a_pass else self._rows_a_piece):
            parts.append(self.readout(self.batch_runner.forward([self._rows_of(x[piece])], request).logits))
        return torch.cat(parts)

    @property
    def _rows_a_piece(self) -> int:
        """The number of rows with which all texts in flight together fill at most one batch."""
        return self.batch_runner.budget // max(1, len(self.encoded) * self.batch_runner.in_flight)
