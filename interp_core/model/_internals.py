"""What goes on inside one pass: attention weights and block outputs, seen and exchanged while the model runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._attention import SeesAttention, attending, attends
from interp_core.model._forward import BatchRunner
from interp_core.model._hooks import tap
from interp_core.model._layer_capabilities import read_position
from interp_core.model._readout import Readout
from interp_core.model._requests import GeneratorRows, Injection, ModelRequest, TextRows, text_rows
from interp_core.model._wrapped_model import WrappedModel
from interp_core.text import Encoded
from jaxtyping import Float
from torch import Tensor, nn

SeesBlock = Callable[[int, Tensor], Tensor | None]  # number and output (p, t, d) of a block


@dataclass(frozen=True, eq=False)
class Internals:
    """The inside of the model for one text.

    Attributes:
        evaluator: where the model is called.
        encoded: the text.
        readout: from logits to scores.
        injection: where the features of the question enter.
    """

    batch_runner: BatchRunner
    encoded: Encoded
    readout: Readout
    injection: Injection

    @property
    def module(self) -> nn.Module:
        """The user's model, for hooks that are gone when the method returns; use it inside `alone`."""
        found: nn.Module = self.batch_runner.model.model
        return found

    def alone(self) -> AbstractContextManager[Any]:
        """Within it no other text goes through the model."""
        return self.batch_runner.model.lock

    @property
    def rows_a_pass(self) -> int:
        """So many rows of this text fill one batch."""
        return max(1, self.batch_runner.budget // len(self.encoded))

    @property
    def read_at(self) -> Float[Tensor, "k t"]:
        """For each target the share of each token in where its score is read; the rows add up to 1."""
        model, t = self.batch_runner.model, len(self.encoded)
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
        model = self.batch_runner.model
        if self.injection is not model.embeddings.injection:
            raise UnsupportedError(
                "a look into the model is about the words of a text, not about a layer; leave layer=None."
            )
        if attention is not None and not attends(model):
            raise UnsupportedError(
                f"the attention of {model.name} cannot be seen (two stacks, or a class of its own); ask a method that "
                "needs scores or gradients alone, such as occlusion."
            )
        mask = torch.ones(rows, len(self.encoded), dtype=torch.bool)
        given: TextRows = text_rows(self.encoded, mask)
        if self.readout.gathers:
            given = GeneratorRows(**vars(given), positions=self.readout.positions)
        request = ModelRequest(torch.full((rows,), len(self.encoded)), lambda _: given, self.readout)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(model.lock)
            if attention is not None:
                stack.enter_context(attending(attention))
            for number, path in enumerate(model.blocks if block is not None else ()):
                stack.enter_context(tap(model.model, path, replace=_numbered(block, number)))
            return self.readout(self.batch_runner.forward([given], request).logits)


def _numbered(block: Any, number: int) -> Callable[[Tensor], Tensor]:
    def see(output: Tensor) -> Tensor:
        found = block(number, output)
        return output if found is None else found

    return see


def _read_by_head(model: WrappedModel, length: int) -> list[int]:
    try:
        return [read_position(model) % length]
    except LayerError:  # pooled: every token has its share
        return list(range(length))
