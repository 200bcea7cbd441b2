"""The one place that calls the model: rows of many texts in, their hidden states, scores or gradients out.

The rows of several requests are sorted by length and filled into batches up to a token budget. When memory runs out,
the budget is halved and the batch is tried again. The outputs do not depend on what else was in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any

import torch
from interp_core.errors import LayerError, ModelError, UnsupportedError
from interp_core.model._gates import GatesInjection
from interp_core.model._heads import points_at_spans
from interp_core.model._hooks import at_rest, taps
from interp_core.model._logits_to_scores import ForwardPass, logits_of
from interp_core.model._module_state import calling_here
from interp_core.model._own_positions import own_positions
from interp_core.model._prefix import Prefix, planned
from interp_core.model._requests import (
    GeneratorRows,
    Injection,
    ModelOutput,
    ModelRequest,
    PaddedBatch,
    TextRows,
    collected,
    padded,
    repeated_positions,
)
from interp_core.model._trial import Sharing, check_gradients, rows_without_padding, trial_of
from interp_core.model._wrapped_model import WrappedModel
from interp_core.results import Cost
from torch import Tensor


class BatchRunner:
    """Runs requests on a model in batches and counts what they cost.

    Args:
        model: the model.
        cost: where passes, rows and tokens are counted; a new `Cost` by default.

    Attributes:
        budget: the most tokens in a batch, padding included; halved whenever memory runs out.
        in_flight: the number of texts that are run at the same time and so share the budget.

    Examples:
        Two texts of different lengths share one pass.

        >>> from interp_core.model import BatchRunner, ModelRequest, whole_text
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> texts = [model.encoder(text) for text in ("happy", "the sad cat was happy")]
        >>> runner = BatchRunner(model)
        >>> outputs = runner.run([ModelRequest(torch.tensor([len(text)]), whole_text(text)) for text in texts])
        >>> [output.logits[0].tolist() for output in outputs]
        [[2.0, 0.0], [2.0, 3.0]]
        >>> runner.cost.forwards, runner.cost.rows, runner.cost.tokens
        (1, 2, 14)
    """

    def __init__(self, model: WrappedModel, cost: Cost | None = None) -> None:
        self.model = model
        self.cost = cost if cost is not None else Cost()
        self.budget = model.tokens_per_batch
        self.in_flight = 1
        self._between_passes: Callable[[], None] | None = None  # while the model is held at rest for several passes

    def run(self, requests: Sequence[ModelRequest]) -> list[ModelOutput]:
        """Runs the requests, sharing passes between those with equal routes.

        Args:
            requests: any number of requests, of one or several texts.

        Returns:
            One output for each request, in their order.

        Raises:
            ModelError: scores are NaN or infinite, or a single row does not fit into memory.
            LayerError: a module that is read did not run, ran twice, or has no state for each token.
            InputError: an id is out of range for the embeddings of the model.
            UnsupportedError: scores are asked of a model that gives no logits, positions are read of a model that does
                not name its vocabulary head, or gradients are requested of a model that they do not pass through.
        """
        if any(r.gradients for r in requests):
            self.check_gradients()
        if self.model.head == "causal":
            requests = [planned(self.model, request, self.budget) for request in requests]
        with self.model.lock, at_rest(self.model.model) as self._between_passes:
            try:
                return self._run(requests)
            finally:
                self._between_passes = None

    def _run(self, requests: Sequence[ModelRequest]) -> list[ModelOutput]:
        outputs: list[dict[int, tuple[Tensor | None, ...]]] = [{} for _ in requests]
        for route in dict.fromkeys(r.route for r in requests):
            todo = self._rows(requests, route)
            prefix = self._prefix(requests[todo[0][0]])
            sharing = trial_of(self.model).sharing(requests[todo[0][0]].stop) if len(todo) > 1 else "single"
            while todo:
                batch, todo = self._fill(todo, sharing)
                try:
                    results = self._pass(requests, batch, prefix)
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    if not _out_of_memory(error):
                        raise
                    todo = self._smaller(batch, todo, error)
                    continue
                for (which, row, _), result in zip(batch, results, strict=True):
                    outputs[which][row] = result
        return [collected(output) for output in outputs]

    def check_gradients(self) -> None:
        """Refuse a model that gradients do not pass through; tried once.

        Raises:
            UnsupportedError: the output of a module depends on its input, and has no gradient with respect to it.
        """
        check_gradients(self.model)

    def rows_a_pass(self, tokens: int) -> int:
        """The most rows of one length in a batch.

        Args:
            tokens: the length.

        Returns:
            At least 1; 1 for a model whose rows may not share a pass.
        """
        if trial_of(self.model).logits == "single":
            return 1
        return max(1, self.budget // max(1, tokens))

    def forward(
        self, rows: Sequence[TextRows], request: ModelRequest, *, past: Any = None, keeps: bool = False
    ) -> ForwardPass:
        """One pass over the rows of one or several texts, padded to the longest.

        Gradients flow if they are enabled.

        Args:
            rows: the rows of each text.
            request: what to read and where values enter, the same for all of them.
            past: the keys and values of tokens before these.
            keeps: have the model return the keys and values of these tokens.

        Returns:
            The pass, with its `logits` and the states that were read.

        Raises:
            LayerError: a module that is read did not run, ran twice, or has no state for each token; or the modules
                are on both sides of an encoder-decoder model.
            InputError: an id is out of range for the embeddings of the model.
            UnsupportedError: positions are read of a model that does not name its vocabulary head.
        """
        side = self.model.side_of(request.injection.path) if request.injection is not None else "both"
        batch = replace(padded(rows, self.model.pad_id, side), past=past, keeps=keeps)
        output: Any = None
        entered: Any = None
        with ExitStack() as stack:
            stack.enter_context(self.model.lock)
            stack.callback(self._between_passes or stack.enter_context(at_rest(self.model.model)))
            seen = stack.enter_context(
                taps(self.model.model, request.paths, stop=request.stop, layout=self.model.layout)
            )
            if batch.values is not None and request.injection is not None:
                entered = stack.enter_context(_opened(request.injection, batch))
            gathering = stack.enter_context(self._only_positions(rows, batch))
            output = self.model.run(batch)
        if entered is not None:
            entered.read()  # raises if the module never ran, since then no values entered
        self.cost.forwards += 1
        self.cost.rows += len(batch.ids)
        self.cost.tokens += batch.ids.numel()
        sides = {self.model.side_of(path) for path in request.paths} or {"both"}
        mask = batch.seen_by(sides.pop())
        if sides:
            raise LayerError(
                f"{', '.join(request.paths)} belong to both encoder and decoder; read the two in separate runs."
            )
        length = mask.shape[1]
        own = [own_positions(self.model, one.read(), length, f"layer {one.path!r}") for one in seen]
        hidden = torch.cat(own, dim=-1) if seen else None
        return ForwardPass(output, self._logits(output, batch, gathering), hidden, mask)

    def _logits(self, output: Any, batch: PaddedBatch, gathering: _Gathering | None) -> Tensor | None:
        """The logits at the positions that are read, else at all tokens, or of the whole row."""
        logits = logits_of(output)
        if logits is None or logits.ndim == 2 or (gathering is not None and gathering.picked):
            return logits
        if not batch.source and logits.shape[1] == 1:  # a translator without a target, which is given its start alone
            return logits
        mask = batch.seen_by("target")
        span = points_at_spans(output)
        logits = own_positions(self.model, logits, mask.shape[1], "the head", dim=2 if span else 1)
        if span:
            return logits.masked_fill(~mask.to(logits.device)[:, None], -torch.inf)
        return logits if gathering is None else gathering.pick(logits)

    def _rows(self, requests: Sequence[ModelRequest], route: Any) -> list[tuple[int, int, int]]:
        rows = [
            (which, row, length)
            for which, request in enumerate(requests)
            if request.route == route
            for row, length in enumerate(request.tokens.tolist())
        ]
        return sorted(rows, key=lambda r: (-r[2], r[0], r[1]))

    def _fill(self, todo: list[tuple[int, int, int]], sharing: Sharing) -> tuple[list[Any], list[Any]]:
        first, _, longest = todo[0]
        fitting = list(islice(todo, 1 if sharing == "single" else max(1, self.budget // max(1, longest))))
        if sharing == "equal-length":  # of two stacks each would have to be as long, which rows of one text are
            two_stacks = self.model.encoder.start_id is not None
            count = sum(1 for _ in takewhile(lambda r: r[2] == longest and (not two_stacks or r[0] == first), fitting))
        else:
            count = rows_without_padding([row[2] for row in fitting], self.model.device)
        return todo[:count], todo[count:]

    def _smaller(self, batch: list[Any], todo: list[Any], error: Exception) -> list[Any]:
        if len(batch) == 1:
            raise ModelError(f"one row of {batch[0][2]} tokens does not fit into memory: {error}") from error
        self.budget = max(1, len(batch) // 2 * batch[0][2])
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return batch + todo

    def _prefix(self, request: ModelRequest) -> Prefix | None:
        """What the rows of a request have in common, run once."""
        if request.unchanged is None or request.whole is None:
            return None
        with torch.inference_mode(False), torch.no_grad():
            shared = request.whole().part(slice(int(request.unchanged.max())))
            return Prefix(self.forward([shared], request, keeps=True).output.past_key_values)

    def _pass(
        self, requests: Sequence[ModelRequest], batch: list[tuple[int, int, int]], prefix: Prefix | None
    ) -> list[tuple[Tensor | None, ...]]:
        """Results for the rows of one batch, in its order: (scores, gradients, hidden, logits)."""
        pieces: dict[int, list[int]] = {}
        for which, row, _ in batch:
            pieces.setdefault(which, []).append(row)
        sharing = [requests[which] for which in pieces]
        first = sharing[0]
        with torch.inference_mode(False), torch.set_grad_enabled(first.gradients):
            rows = [requests[which].build(torch.tensor(numbers)) for which, numbers in pieces.items()]
            past, start = None, 0 if first.unchanged is None else int(first.unchanged[batch[0][1]])
            if prefix is not None and start:  # these rows are of one text, so of one length
                rows, past = [r.part(slice(start, None)) for r in rows], prefix.of(len(batch), start)
            forward_pass = self.forward(rows, first, past=past)
            asked = not first.stop and any(request.readout for request in sharing)
            logits = forward_pass.logits if asked else None if first.stop else forward_pass.logits_or_none
            parts = None if logits is None else logits.split([len(r.ids) for r in rows])
            scores = self._scores(sharing, parts) if parts is not None else None
            gradients = self._gradients(rows, scores) if scores and first.gradients else None
        results: dict[tuple[int, int], tuple[Tensor | None, ...]] = {}
        start = 0
        for i, (which, numbers) in enumerate(pieces.items()):
            for j, row in enumerate(numbers):
                results[which, row] = (
                    scores[i][j].detach() if scores and sharing[i].readout else None,
                    gradients[i][j] if gradients else None,
                    forward_pass.hidden_of(start + j),
                    parts[i][j].detach() if parts is not None and (sharing[i].logits or parts[i].ndim == 2) else None,
                )
            start += len(numbers)
        return [results[which, row] for which, row, _ in batch]

    def _scores(self, requests: Sequence[ModelRequest], parts: Sequence[Tensor]) -> list[Tensor]:
        """The scores of the rows of each request, (p, k); k is 0 without a readout."""
        scores = [
            r.readout(part) if r.readout else part.flatten(1)[:, :0] for r, part in zip(requests, parts, strict=True)
        ]
        for score in scores:
            if not torch.isfinite(score).all():
                raise ModelError(f"the model gave NaN or infinity for this input.{self.model.non_finite()}")
        return scores

    def _gradients(self, rows: Sequence[TextRows], scores: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of the scores of each text with respect to its leaf, (p, k, f, d).

        Rows are independent, so one backward pass for each target index serves all of them.
        """
        leaves = [r.leaf for r in rows]
        targets = max(score.shape[1] for score in scores)
        columns: list[list[Tensor]] = [[] for _ in rows]
        for k in range(targets):
            having = [i for i, score in enumerate(scores) if score.shape[1] > k]
            total = torch.stack([scores[i][:, k].sum() for i in having]).sum()
            if not total.requires_grad:
                raise UnsupportedError(
                    f"target {k} has no gradient: its score does not depend on the features in a way that can be "
                    "differentiated. Use a method that needs only scores."
                )
            inputs = [leaf for i in having if (leaf := leaves[i]) is not None]
            try:
                gradients = torch.autograd.grad(total, inputs, retain_graph=k + 1 < targets, allow_unused=True)
            except RuntimeError as error:
                if "inplace operation" not in str(error):
                    raise
                raise UnsupportedError(
                    f"{self.model.name} writes over its own states in place, so that PyTorch cannot differentiate it. "
                    "Use a method that needs only scores."
                ) from error
            self.cost.backwards += 1
            for i, leaf, gradient in zip(having, inputs, gradients, strict=True):
                columns[i].append(torch.zeros_like(leaf) if gradient is None else gradient)
        return [torch.stack(column, dim=1) for column in columns]

    def _only_positions(
        self, rows: Sequence[TextRows], batch: PaddedBatch
    ) -> AbstractContextManager[_Gathering | None]:
        """Passes the vocabulary head only the positions whose logits are read, not the whole sequence."""
        generated = [r for r in rows if isinstance(r, GeneratorRows)]
        if not generated:
            return nullcontext()
        count = max(r.read for r in generated)
        index = torch.cat([repeated_positions(r, count) for r in generated])
        length = batch.seen_by("target").shape[1]
        return _gathered(self.model.model.get_output_embeddings(), _Gathering(self.model, index, length))


def _opened(injection: Injection, batch: PaddedBatch) -> AbstractContextManager[Any]:
    """A context in which one pass continues from the values of a batch, or in which gates are open as these say."""
    if isinstance(injection, GatesInjection):
        return injection.open_for(batch)
    assert batch.values is not None
    return injection.open(batch.values)


@dataclass(eq=False)
class _Gathering:
    """Picks the positions that are read: before the vocabulary head, or behind it where the model does not call it.

    Attributes:
        model: the model.
        index: the positions (p, m).
        length: the number of tokens of each row, padding included.
        picked: whether the head was given these positions alone.
    """

    model: WrappedModel
    index: Tensor
    length: int
    picked: bool = False

    def before(self, _module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states = inputs[0] if inputs else None
        if not isinstance(states, Tensor) or states.ndim != 3 or len(states) != len(self.index):
            return None
        if states.shape[1] < self.length:
            return None
        self.picked = True
        return (self.pick(own_positions(self.model, states, self.length, "the head")), *inputs[1:])

    def pick(self, values: Tensor) -> Tensor:
        """Of values (p, t, …) at each token those at the positions."""
        return values.gather(1, self.index.to(values.device)[:, :, None].expand(-1, -1, values.shape[-1]))


@contextmanager
def _gathered(head: Any, gathering: _Gathering) -> Iterator[_Gathering]:
    if head is None:
        raise UnsupportedError("this model does not name its vocabulary head: get_output_embeddings() returned None.")
    meant = calling_here()
    hook = head.register_forward_pre_hook(lambda m, inputs: gathering.before(m, inputs) if meant() else None)
    try:
        yield gathering
    finally:
        hook.remove()


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
