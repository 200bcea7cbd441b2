"""What computes the scores of a question about one text: features in, through a place in the model, scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from interp_core.attribution._function_runner import removed
from interp_core.attribution._removal import Absence
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

Insert = Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p t w"]]


@dataclass
class ModelRunner:
    """Computes the scores of one text of a model.

    Attributes:
        evaluator: where the model is called.
        encoded: the text.
        readout: from logits to scores.
        injection: where the features enter.
        insert: from features (p, f, d) to the values (p, t, w) that enter.
        ask: how a request reaches the evaluator; other texts may share its passes.
    """

    batch_runner: BatchRunner
    encoded: Encoded
    readout: Readout
    injection: Injection
    insert: Insert
    x: Tensor
    absent: Absence
    owners: Tensor
    ask: Callable[[ModelRequest], ModelOutput]

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        if x.requires_grad and torch.is_grad_enabled():
            return self._differentiable(x)
        return self._scores(len(x), lambda rows: self._block(x[rows.to(x.device)]), injection=self.injection)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        if self.absent.mode == "features":
            base, owners = self.absent.baseline, self.owners
            kept = lambda rows: self._block(removed(keep[rows], self.x, base, owners))  # noqa: E731
            return self._scores(len(keep), kept, injection=self.injection)
        stays = torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)[:, self.owners.cpu()]
        if self.absent.mode == "attention":
            for side in (stays[:, : self.encoded.source], stays[:, self.encoded.source :]):
                side[:, :1] |= ~side.any(dim=1, keepdim=True)  # a model cannot look at nothing: the first token stays
            return self._scores(len(keep), lambda rows: self._block(None, len(rows), attention=stays[rows]))
        lengths = stays.sum(1).clamp(min=1)
        return self._scores(len(keep), lambda rows: self._shortened(stays[rows]), lengths)

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """The model's own decision, see `Readout.deciding`."""
        return replace(self, readout=self.readout.deciding()).masked(keep).long()

    def moved(self, x: Float[Tensor, "f d"]) -> ModelRunner:
        """The same about other features.

        Raises:
            UnsupportedError: units are not removed by changing features.
        """
        if self.absent.mode != "features":
            raise UnsupportedError(
                f"removal={self.absent.name!r} does not look at features; use 'mask', 'mean' or 'zero'."
            )
        return replace(self, x=x)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        for piece in pieces_of(len(x), self._rows_a_piece):
            yield from self._slopes(x[piece])

    def _slopes(self, x: Float[Tensor, "p f d"]) -> list[Tensor]:
        def build(rows: Tensor) -> TextRows:
            leaf = x[rows.to(x.device)].detach().clone().requires_grad_()
            block = self._block(leaf)
            block.leaf = leaf
            return block

        lengths = torch.full((len(x),), len(self.encoded))
        return self.ask(ModelRequest(lengths, build, self.readout, self.injection, gradients=True)).gradients

    def _scores(
        self,
        count: int,
        build: Callable[[Tensor], TextRows],
        lengths: Tensor | None = None,
        injection: Injection | None = None,
    ) -> Tensor:
        if not count:
            return torch.zeros(0, len(self.readout.targets))
        rows = lengths if lengths is not None else torch.full((count,), len(self.encoded))
        return torch.stack(self.ask(ModelRequest(rows, build, self.readout, injection)).scores)

    def _block(self, x: Tensor | None, count: int = 0, attention: Tensor | None = None) -> TextRows:
        values = None if x is None else self.insert(x)
        rows = count if x is None else len(x)
        mask = torch.ones(rows, len(self.encoded), dtype=torch.bool) if attention is None else attention
        block = text_rows(self.encoded, mask, values)
        if self.readout.gathers:
            return GeneratorRows(**vars(block), positions=self.readout.positions)
        return block

    def _shortened(self, stays: Bool[Tensor, "p t"]) -> TextRows:
        """Rows with tokens taken out, padded at the right; a row with nothing left keeps its first token."""
        lengths = stays.sum(1).clamp(min=1)
        order = torch.argsort((~stays).to(torch.int8), dim=1, stable=True)[:, : int(lengths.max())]
        inside = torch.arange(order.shape[1]) < lengths[:, None]
        ids = torch.where(inside, self.encoded.ids[order], self.batch_runner.model.pad_id)
        types = None if self.encoded.types is None else self.encoded.types[order]
        return TextRows(ids, inside, types=types)

    def _differentiable(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Scores with their graph: not shared with other texts, in batches within the token budget."""
        request = ModelRequest(torch.zeros(0, dtype=torch.long), self._block, self.readout, self.injection)
        parts = [torch.zeros(0, len(self.readout.targets), device=x.device)]
        for piece in pieces_of(len(x), 1 if self.batch_runner.model.one_row_a_pass else self._rows_a_piece):
            parts.append(self.readout(self.batch_runner.forward([self._block(x[piece])], request).logits))
        return torch.cat(parts)

    @property
    def _rows_a_piece(self) -> int:
        """So many that all texts in flight together hold no more than one batch."""
        return self.batch_runner.budget // max(1, len(self.encoded) * self.batch_runner.in_flight)
