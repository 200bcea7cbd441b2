"""What goes on inside one pass: attention weights and block outputs, seen and exchanged while the model runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.evaluate import Evaluator
from interp_core.hooks import tap
from interp_core.model import TextModel
from interp_core.rows import Block, Entry, PositionedBlock, Request, block_of
from interp_core.targets import Readout
from interp_core.text import Encoded
from jaxtyping import Float
from torch import Tensor, nn

# Called with the number of the layer, its attention weights (p, h, t, s) and values (p, h, s, e); returns both, as they
# are to be, or None to leave them.
SeesAttention = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor] | None]
SeesBlock = Callable[[int, Tensor], Tensor | None]  # number and output (p, t, d) of a block
_one_at_a_time = threading.RLock()


@dataclass(frozen=True, eq=False)
class Internals:
    """The inside of the model for one text.

    Attributes:
        evaluator: where the model is called.
        encoded: the text.
        readout: from logits to scores.
        entry: where the features of the question enter.
    """

    evaluator: Evaluator
    encoded: Encoded
    readout: Readout
    entry: Entry

    @property
    def module(self) -> nn.Module:
        """The user's model, for hooks that are gone when the method returns; use it inside `alone`."""
        found: nn.Module = self.evaluator.model.model
        return found

    def alone(self) -> AbstractContextManager[Any]:
        """Within it no other text goes through the model."""
        return self.evaluator.model.lock

    @property
    def rows_a_pass(self) -> int:
        """So many rows of this text fill one batch."""
        return max(1, self.evaluator.budget // len(self.encoded))

    @property
    def read_at(self) -> Float[Tensor, "k t"]:
        """For each target the share of each token in where its score is read; the rows add up to 1."""
        model, t = self.evaluator.model, len(self.encoded)
        rows = []
        for target in self.readout.targets:
            if self.readout.head == "span":
                places = [part.index for part in target.parts]
            else:
                places = [position - self.readout.before for position in target.positions]
            places = places or _read_by_head(model, t)
            rows.append(torch.bincount(torch.tensor(places), minlength=t) / len(places))
        return torch.stack(rows)

    def run(
        self, rows: int = 1, attention: SeesAttention | None = None, block: SeesBlock | None = None
    ) -> Float[Tensor, "p k"]:
        """One pass over `rows` copies of the text; differentiable with respect to what the callbacks put in.

        Args:
            rows: how many copies; at most `rows_a_pass` keeps within the token budget.
            attention: sees, and may exchange, the attention of each layer.
            block: sees, and may exchange, the output of each block.

        Raises:
            UnsupportedError: the question is about a layer or about concepts, or attention cannot be seen.
        """
        model = self.evaluator.model
        if self.entry is not model.embeddings.entry:
            raise UnsupportedError(
                "a look into the model is about the words of a text, not about a layer; leave layer=None."
            )
        if attention is not None and not model.attends:
            raise UnsupportedError(
                f"the attention of {model.name} cannot be seen (two stacks, or a class of its own); ask a method that "
                "needs scores or gradients alone, such as occlusion."
            )
        mask = torch.ones(rows, len(self.encoded), dtype=torch.bool)
        given: Block = block_of(self.encoded, mask)
        if self.readout.gathers:
            given = PositionedBlock(**vars(given), positions=self.readout.positions)
        request = Request(torch.full((rows,), len(self.encoded)), lambda _: given, self.readout)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(model.lock)
            if attention is not None:
                stack.enter_context(attending(attention))
            for number, path in enumerate(model.blocks if block is not None else ()):
                stack.enter_context(tap(model.model, path, replace=_numbered(block, number)))
            return self.readout(self.evaluator.forward([given], request).logits)


def _numbered(block: Any, number: int) -> Callable[[Tensor], Tensor]:
    def see(output: Tensor) -> Tensor:
        found = block(number, output)
        return output if found is None else found

    return see


def _read_by_head(model: TextModel, length: int) -> list[int]:
    try:
        return [model.read_position % length]
    except LayerError:  # pooled: every token has its share
        return list(range(length))


@contextmanager
def attending(see: SeesAttention) -> Iterator[None]:
    """Within it every attention of this thread's passes is shown to `see`, which may exchange weights and values.

    The weights are found whatever computes the attention: it is linear in the values, so that given the identity as
    values it returns its weights.

    Raises:
        UnsupportedError: this version of transformers has no single door that all attention passes through.
    """
    from transformers.modeling_utils import AttentionInterface

    door = getattr(AttentionInterface, "get_interface", None)
    if door is None:
        raise UnsupportedError("attention can be observed with transformers 5 or newer; install it.")
    caller, count = threading.get_ident(), [0]

    def get_interface(self: Any, name: Any, default: Any) -> Any:
        own = door(self, name, default)
        if threading.get_ident() != caller:
            return own

        def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
            weights = _weights(own, module, (query, key, value), args, kwargs)  # (p, h, t, s)
            spread = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
            found = see(count[0], weights, spread)
            count[0] += 1
            weights, spread = (weights, spread) if found is None else found
            return (weights.to(spread) @ spread).transpose(1, 2).contiguous(), None

        return attend

    with _one_at_a_time:
        AttentionInterface.get_interface = get_interface  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            AttentionInterface.get_interface = door  # type: ignore[method-assign]


def _weights(own: Any, module: Any, states: tuple[Tensor, Tensor, Tensor], args: Any, kwargs: Any) -> Tensor:
    query, key, value = states
    length = key.shape[2]
    identity = torch.eye(length, dtype=value.dtype, device=value.device).expand(*value.shape[:2], length, length)
    weights: Tensor = own(module, query, key, identity, *args, **kwargs)[0]  # (p, t, h, s)
    return weights.transpose(1, 2)


def attends(model: TextModel) -> bool:
    """Whether the attention of each block can be seen, and the pass is unchanged by looking: tried on a short text."""
    seen: list[int] = []
    ids = model.some_ids()
    if model.encoder.start_id is not None:
        return False
    try:
        plain = model.logits(ids)
        with model.lock, attending(lambda number, _w, _v: seen.append(number)):  # in the order of `run`
            watched = model.logits(ids)
        return len(seen) == len(model.blocks) and torch.allclose(plain, watched, atol=1e-4, rtol=1e-3)
    except (LayerError, UnsupportedError, RuntimeError, TypeError, ImportError):
        return False
