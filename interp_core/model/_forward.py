"""The one place that calls the model: rows of many texts in, their hidden states, scores or gradients out.

Requests of several texts are sorted by length, filled into batches up to a token budget, and taken apart again; when
memory runs out the budget is halved and the batch tried again. The answers are the same whatever the neighbours were.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError, ModelError, UnsupportedError
from interp_core.model._heads import logits_of
from interp_core.model._hooks import Tap, at_rest, taps
from interp_core.model._requests import (
    GeneratorRows,
    ModelOutput,
    ModelRequest,
    TextRows,
    collected,
    padded,
    repeated_positions,
)
from interp_core.model._wrapped_model import WrappedModel
from interp_core.results import Cost
from torch import Tensor


@dataclass(frozen=True)
class ForwardPass:
    """One pass: the model's output, the logits in it (see `logits_of`), what was read, and which tokens that is of."""

    output: Any
    answer: Tensor | None
    hidden: Tensor | None
    inside: Tensor

    @property
    def logits(self) -> Tensor:
        """The logits.

        Raises:
            UnsupportedError: there are none.
        """
        if self.answer is None:
            raise UnsupportedError("this model gives no logits, so there is nothing to explain.")
        return self.answer

    def hidden_of(self, row: int) -> Tensor | None:
        """What was read of one row, without its padding."""
        return None if self.hidden is None else self.hidden[row][self.inside[row].to(self.hidden.device)].detach()


class BatchRunner:
    """Runs requests on a model and counts what they cost."""

    def __init__(self, model: WrappedModel, cost: Cost | None = None) -> None:
        self.model = model
        self.cost = cost if cost is not None else Cost()
        self.budget = model.tokens_per_batch
        self.in_flight = 1

    def run(self, requests: Sequence[ModelRequest]) -> list[ModelOutput]:
        """The answers, one for each request.

        Raises:
            ModelError: the model gave NaN or infinity, or one single row does not fit into memory.
        """
        answers: list[dict[int, tuple[Tensor | None, ...]]] = [{} for _ in requests]
        for route in dict.fromkeys(r.route for r in requests):
            todo = self._rows(requests, route)
            alone = not requests[todo[0][0]].stop and self.model.one_row_a_pass if todo else False
            while todo:
                batch, todo = self._fill(todo, alone)
                try:
                    results = self._pass(requests, batch)
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    if not _out_of_memory(error):
                        raise
                    todo = self._smaller(batch, todo, error)
                    continue
                for (which, row, _), result in zip(batch, results, strict=True):
                    answers[which][row] = result
        return [collected(answer) for answer in answers]

    def forward(self, blocks: Sequence[TextRows], request: ModelRequest) -> ForwardPass:
        """One pass over several blocks, padded to the longest.

        `request` stands for all of them, since their routes are equal. Gradients flow when they are enabled.
        """
        side = self.model.side_of(request.injection.path) if request.injection is not None else "both"
        batch = padded(blocks, self.model.pad_id, side)
        output: Any = None
        entered: Any = None
        with ExitStack() as stack:
            stack.enter_context(self.model.lock)
            stack.enter_context(at_rest(self.model.model))
            seen = stack.enter_context(taps(self.model.model, request.paths, stop=request.stop))
            if batch.values is not None and request.injection is not None:
                entered = stack.enter_context(request.injection.open(batch.values))
            stack.enter_context(self._only_positions(blocks, request))
            output = self.model.run(batch)
        if isinstance(entered, Tap):
            entered.read()  # a module that never ran has taken no values in
        self.cost.forwards += 1
        self.cost.rows += len(batch.ids)
        self.cost.tokens += batch.ids.numel()
        sides = {self.model.side_of(path) for path in request.paths} or {"both"}
        inside = batch.seen_by(sides.pop())
        if sides:
            raise LayerError(f"{', '.join(request.paths)} are of an encoder and of a decoder; read them one by one.")
        hidden = torch.cat([one.read() for one in seen], dim=-1) if seen else None
        return ForwardPass(output, logits_of(output, batch.attention), hidden, inside)

    def _rows(self, requests: Sequence[ModelRequest], route: Any) -> list[tuple[int, int, int]]:
        rows = [
            (which, row, length)
            for which, request in enumerate(requests)
            if request.route == route
            for row, length in enumerate(request.lengths.tolist())
        ]
        return sorted(rows, key=lambda r: (-r[2], r[0], r[1]))

    def _fill(self, todo: list[tuple[int, int, int]], alone: bool) -> tuple[list[Any], list[Any]]:
        longest = max(1, todo[0][2])
        count = 1 if alone else max(1, self.budget // longest)
        return todo[:count], todo[count:]

    def _smaller(self, batch: list[Any], todo: list[Any], error: Exception) -> list[Any]:
        if len(batch) == 1:
            raise ModelError(f"one row of {batch[0][2]} tokens does not fit into memory: {error}") from error
        self.budget = max(1, len(batch) // 2 * batch[0][2])
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return batch + todo

    def _pass(
        self, requests: Sequence[ModelRequest], batch: list[tuple[int, int, int]]
    ) -> list[tuple[Tensor | None, ...]]:
        """Results for the rows of one batch, in its order: (scores, gradients, hidden, logits)."""
        pieces: dict[int, list[int]] = {}
        for which, row, _ in batch:
            pieces.setdefault(which, []).append(row)
        asked = [requests[which] for which in pieces]
        first = asked[0]
        with torch.inference_mode(False), torch.set_grad_enabled(first.gradients):
            blocks = [requests[which].build(torch.tensor(rows)) for which, rows in pieces.items()]
            passed = self.forward(blocks, first)
            parts = None if first.stop or passed.answer is None else passed.answer.split([len(b.ids) for b in blocks])
            scores = self._scored(asked, parts) if parts is not None else None
            slopes = self._slopes(blocks, scores) if scores and first.gradients else None
        results: dict[tuple[int, int], tuple[Tensor | None, ...]] = {}
        start = 0
        for i, (which, rows) in enumerate(pieces.items()):
            for j, row in enumerate(rows):
                results[which, row] = (
                    scores[i][j].detach() if scores and asked[i].readout else None,
                    slopes[i][j] if slopes else None,
                    passed.hidden_of(start + j),
                    parts[i][j].detach() if parts is not None and (asked[i].logits or parts[i].ndim == 2) else None,
                )
            start += len(rows)
        return [results[which, row] for which, row, _ in batch]

    def _scored(self, asked: Sequence[ModelRequest], parts: Sequence[Tensor]) -> list[Tensor]:
        """The scores of each block."""
        scores = [
            r.readout(part) if r.readout else part.flatten(1)[:, :0] for r, part in zip(asked, parts, strict=True)
        ]
        for score in scores:
            if not torch.isfinite(score).all():
                raise ModelError(f"the model gave NaN or infinity for this input.{self.model.non_finite()}")
        return scores

    def _slopes(self, blocks: Sequence[TextRows], scores: Sequence[Tensor]) -> list[Tensor]:
        """D score / d leaf for each block, (p, k, f, d): one backward for each target index, since rows are
        independent.
        """
        leaves = [block.leaf for block in blocks]
        most = max(score.shape[1] for score in scores)
        columns: list[list[Tensor]] = [[] for _ in blocks]
        for k in range(most):
            having = [i for i, score in enumerate(scores) if score.shape[1] > k]
            total = torch.stack([scores[i][:, k].sum() for i in having]).sum()
            inputs = [leaf for i in having if (leaf := leaves[i]) is not None]
            found = torch.autograd.grad(total, inputs, retain_graph=k + 1 < most, allow_unused=True)
            self.cost.backwards += 1
            for i, leaf, slope in zip(having, inputs, found, strict=True):
                columns[i].append(torch.zeros_like(leaf) if slope is None else slope)
        return [torch.stack(column, dim=1) for column in columns]

    def _only_positions(self, blocks: Sequence[TextRows], request: ModelRequest) -> AbstractContextManager[Any]:
        """For generators: hand the vocabulary head only the positions whose logits are read, not the whole sequence."""
        if not any(isinstance(b, GeneratorRows) for b in blocks):
            return nullcontext()
        most = max(len(b.positions) for b in blocks if isinstance(b, GeneratorRows))
        index = torch.cat([repeated_positions(b, most) for b in blocks if isinstance(b, GeneratorRows)])
        return _gathering(self.model.model.get_output_embeddings(), index)


def _gathering(head: Any, index: Tensor) -> AbstractContextManager[Any]:
    if head is None:
        raise UnsupportedError("this generator does not say where its vocabulary head is (get_output_embeddings).")

    def pick(_module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = inputs[0]
        where = index.to(states.device)[:, :, None].expand(-1, -1, states.shape[-1])
        return (states.gather(1, where), *inputs[1:])

    stack = ExitStack()
    stack.callback(head.register_forward_pre_hook(pick).remove)
    return stack


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
