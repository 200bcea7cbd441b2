"""The one place that calls the model: rows of many texts in, their hidden states, scores or gradients out.

The rows of several requests are sorted by length and packed into batches up to a token budget. When memory runs out,
the budget is halved and the batch is tried again. The outputs do not depend on what else was in a batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

import torch
from interp_core.errors import LayerError, ModelError, UnsupportedError
from interp_core.model._budget import out_of_memory
from interp_core.model._gates import GatesInjection
from interp_core.model._gathering import Gathering
from interp_core.model._heads import points_at_spans
from interp_core.model._hooks import at_rest, taps
from interp_core.model._logits_to_scores import ForwardPass, logits_of
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
from interp_core.model._running import running
from interp_core.model._transfer import HostCopy, to_device
from interp_core.model._trial import Sharing, check_gradients, rows_without_padding, trial_of
from interp_core.model._wrapped_model import WrappedModel
from interp_core.results import Cost
from torch import Tensor


class BatchRunner:
    """Runner of requests on a model, in batches, which counts their cost.

    Args:
        model: the model.
        cost: where passes, rows and tokens are counted; a new `Cost` by default.

    Attributes:
        budget: the maximum number of tokens in a batch, padding included; halved whenever memory runs out. A later run
            on the same model starts with twice the budget of the last run that ran out of memory, at most with its own.
        in_flight: the number of texts that run at the same time and so share the budget.

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
        fitted: int | None = model.tried.get("tokens that fitted")
        self.budget = min(model.tokens_per_batch, 2 * fitted) if fitted else model.tokens_per_batch
        self._with_gradients = model.tokens_that_fit(gradients=True)
        self.in_flight = 1
        self._between_passes: Callable[[], None] | None = None  # while the model is held at rest for several passes

    def run(self, requests: Sequence[ModelRequest]) -> list[ModelOutput]:
        """Run requests, with passes shared between those with equal routes.

        Args:
            requests: any number of requests, of one or several texts.

        Returns:
            One output for each request, in their order.

        Raises:
            ModelError: scores are NaN or infinite, or a single row does not fit into memory.
            LayerError: a module that is read did not run, ran twice, or has no state for each token.
            InputError: an id is out of range for the embeddings of the model.
            UnsupportedError: scores are requested from a model without logits, logits at positions from a model that
                does not name its vocabulary head, or gradients from a model that they do not pass through.
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
                batch, todo = self._fill(todo, sharing, self._limit(requests[todo[0][0]].gradients))
                results = self._fitting_pass(requests, batch, prefix)
                if results is None:
                    self._halve(batch)
                    todo = batch + todo
                    continue
                for (which, row, _), result in zip(batch, results, strict=True):
                    outputs[which][row] = result
        return [collected(output) for output in outputs]

    def check_gradients(self) -> None:
        """Check that gradients pass through the model; tested once.

        Raises:
            UnsupportedError: the output of a module depends on its input, and has no gradient with respect to it.
        """
        check_gradients(self.model)

    def rows_a_pass(self, tokens: int) -> int:
        """Compute the maximum number of rows of a given length in a batch.

        Args:
            tokens: the length of the rows, in tokens.

        Returns:
            At least 1; exactly 1 for a model whose rows must not share a pass. With gradients, fewer may fit.
        """
        if trial_of(self.model).logits == "single":
            return 1
        return max(1, self._limit(torch.is_grad_enabled()) // max(1, tokens))

    def forward(
        self,
        rows: Sequence[TextRows],
        request: ModelRequest,
        *,
        past: Any = None,
        keeps: bool = False,
        once: bool = False,
    ) -> ForwardPass:
        """Run one pass over the rows of one or several texts, padded to the longest.

        Gradients flow if they are enabled.

        Args:
            rows: the rows of each text.
            request: what to read and where values enter, the same for all of them.
            past: the keys and values of tokens before these.
            keeps: have the model return the keys and values of these tokens.
            once: whether at most one backward pass follows; with gradients, only such passes run compiled.

        Returns:
            The pass, with its `logits` and the states that were read.

        Raises:
            LayerError: a module that is read did not run, ran twice, or has no state for each token; or the modules
                are on both sides of an encoder-decoder model.
            InputError: an id is out of range for the embeddings of the model.
            UnsupportedError: logits at positions are read from a model that does not name its vocabulary head.
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
            if self.model.autocast or self.model.compile:
                stack.enter_context(running(self.model, batch, once=once))
            stack.enter_context(_refusing_writes(self.model.name))
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

    def _logits(self, output: Any, batch: PaddedBatch, gathering: Gathering | None) -> Tensor | None:
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
            return logits.masked_fill(to_device(~mask, logits.device)[:, None], -torch.inf)
        return logits if gathering is None else gathering.pick(logits)

    def _rows(self, requests: Sequence[ModelRequest], route: Any) -> list[tuple[int, int, int]]:
        rows = [
            (which, row, length)
            for which, request in enumerate(requests)
            if request.route == route
            for row, length in enumerate(request.tokens.tolist())
        ]
        return sorted(rows, key=lambda r: (-r[2], r[0], r[1]))

    def _limit(self, gradients: bool) -> int:
        """The most tokens in a batch; of one whose states are kept for a backward pass fewer may fit."""
        return min(self.budget, self._with_gradients) if gradients else self.budget

    def _fill(self, todo: list[tuple[int, int, int]], sharing: Sharing, budget: int) -> tuple[list[Any], list[Any]]:
        first, _, longest = todo[0]
        fitting = list(islice(todo, 1 if sharing == "single" else max(1, budget // max(1, longest))))
        if sharing == "equal-length":  # of two stacks each would have to be as long, which rows of one text are
            two_stacks = self.model.encoder.start_id is not None
            count = sum(1 for _ in takewhile(lambda r: r[2] == longest and (not two_stacks or r[0] == first), fitting))
        else:
            count = rows_without_padding([row[2] for row in fitting], self.model.device)
        return todo[:count], todo[count:]

    def _fitting_pass(
        self, requests: Sequence[ModelRequest], batch: list[Any], prefix: Prefix | None
    ) -> list[tuple[Tensor | None, ...]] | None:
        """Results for the rows of one batch; None if they do not fit into memory, which is free again by then."""
        try:
            return self._pass(requests, batch, prefix)
        except (torch.OutOfMemoryError, RuntimeError) as error:  # it holds all that the pass did, until it is left
            if not out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ModelError(f"one row of {batch[0][2]} tokens does not fit into memory: {error}") from error
            return None

    def _halve(self, batch: list[Any]) -> None:
        """Halve the budget, for the rest of this run; the next one on the model begins with twice as much."""
        self.budget = max(1, len(batch) // 2 * batch[0][2])
        self.model.tried["tokens that fitted"] = self.budget
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()

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
        once = all(request.readout is None or request.readout.alone for request in sharing)
        with torch.inference_mode(False), torch.set_grad_enabled(first.gradients):
            rows = [requests[which].build(torch.tensor(numbers)) for which, numbers in pieces.items()]
            past, start = None, 0 if first.unchanged is None else int(first.unchanged[batch[0][1]])
            if prefix is not None and start:  # these rows are of one text, so of one length
                rows, past = [r.part(slice(start, None)) for r in rows], prefix.of(len(batch), start)
            forward_pass = self.forward(rows, first, past=past, once=once)
            asked = not first.stop and any(request.readout for request in sharing)
            logits = forward_pass.logits if asked else None if first.stop else forward_pass.logits_or_none
            parts = [] if logits is None else list(logits.split([len(r.ids) for r in rows]))
            scores = _scores(sharing, parts)
            copied = HostCopy([*scores, *parts] if parts and parts[0].ndim == 2 else scores) if parts else None
            gradients = self._gradients(rows, scores) if scores and first.gradients else None
        if copied is not None:  # the only time that the host waits for the device
            scores = copied.read()
            scores, parts = scores[: len(sharing)], scores[len(sharing) :] or parts
            self._check_finite(scores)
        results: dict[tuple[int, int], tuple[Tensor | None, ...]] = {}
        start = 0
        for i, (which, numbers) in enumerate(pieces.items()):
            for j, row in enumerate(numbers):
                results[which, row] = (
                    scores[i][j] if scores and sharing[i].readout else None,
                    gradients[i][j] if gradients else None,
                    forward_pass.hidden_of(start + j),
                    parts[i][j].detach() if parts and (sharing[i].logits or parts[i].ndim == 2) else None,
                )
            start += len(numbers)
        return [results[which, row] for which, row, _ in batch]

    def _check_finite(self, scores: Sequence[Tensor]) -> None:
        """Refuse scores, of all requests at once."""
        if not torch.isfinite(torch.cat([score.flatten() for score in scores])).all():
            raise ModelError(f"the model gave NaN or infinity for this input.{self.model.non_finite()}")

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
            with _refusing_writes(self.model.name):
                gradients = torch.autograd.grad(total, inputs, retain_graph=k + 1 < targets, allow_unused=True)
            self.cost.backwards += 1
            for i, leaf, gradient in zip(having, inputs, gradients, strict=True):
                columns[i].append(torch.zeros_like(leaf) if gradient is None else gradient)
        return [torch.stack(column, dim=1) for column in columns]

    def _only_positions(self, rows: Sequence[TextRows], batch: PaddedBatch) -> AbstractContextManager[Gathering | None]:
        """Passes the vocabulary head only the positions whose logits are read, not the whole sequence."""
        generated = [r for r in rows if isinstance(r, GeneratorRows)]
        if not generated:
            return nullcontext()
        count = max(r.read for r in generated)
        index = torch.cat([repeated_positions(r, count) for r in generated])
        length = batch.seen_by("target").shape[1]
        return Gathering(self.model, index, length).open()


def _opened(injection: Injection, batch: PaddedBatch) -> AbstractContextManager[Any]:
    """A context in which one pass continues from the values of a batch, or in which gates are open as these say."""
    if isinstance(injection, GatesInjection):
        return injection.open_for(batch)
    assert batch.values is not None
    return injection.open(batch.values)


@contextmanager
def _refusing_writes(name: str) -> Iterator[None]:
    """Says of a model that PyTorch cannot differentiate why; some write in a pass, some are found out behind it."""
    try:
        yield
    except RuntimeError as error:
        if not re.search("in-?place operation", str(error)):
            raise
        raise UnsupportedError(
            f"{name} writes over its own states in place, so that PyTorch cannot differentiate it. Use a method that "
            "needs only scores."
        ) from error


def _scores(requests: Sequence[ModelRequest], parts: Sequence[Tensor]) -> list[Tensor]:
    """The scores of the rows of each request, (p, k); k is 0 without a readout. None where there are no logits.

    A readout whose targets depend on the answer says by `known` what it is for logits (v). Since slopes of it can be
    taken only then, the logits are copied to the host before, those of all texts at once.
    """
    readouts: list[Any] = [request.readout for request in requests]
    if parts and any(hasattr(readout, "known") for readout in readouts):
        answers = HostCopy(parts).read()
        readouts = [
            readout.known(answer[0]) if hasattr(readout, "known") else readout
            for readout, answer in zip(readouts, answers, strict=True)
        ]
    return [
        readout(part) if readout else part.flatten(1)[:, :0] for readout, part in zip(readouts, parts, strict=False)
    ]
