"""The internals of a pass: attention weights and block outputs, observed and replaced while the model runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._attention import SeesAttention, attending, check_release, why_unseen
from interp_core.model._forward import BatchRunner
from interp_core.model._hooks import tap
from interp_core.model._logits_to_scores import Readout
from interp_core.model._read_position import read_position
from interp_core.model._requests import GeneratorRows, Injection, ModelRequest, TextRows, text_rows
from interp_core.model._wrapped_model import WrappedModel
from interp_core.text import Encoded
from jaxtyping import Float
from torch import Tensor, nn

SeesBlock = Callable[[int, Tensor], Tensor | None]  # from the number of a block and its output (p, t, d)


@dataclass(frozen=True, eq=False)
class Internals:
    """The internals of the model for one text, for methods that read attention, block outputs or modules.

    Attributes:
        batch_runner: runs the model.
        encoded: the text, of t tokens.
        readout: maps logits to scores.
        injection: where the features of the question enter.

    Examples:
        Read the outputs of the blocks; then set the output of the last block to zero, so that the score is 0.

        >>> from interp_core.model import BatchRunner, Internals, Target, readout_of
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> readout = readout_of((Target("LABEL_0", 0),), "logit", model.head)
        >>> encoded = model.encoder("so happy")
        >>> internals = Internals(BatchRunner(model), encoded, readout, model.embeddings.injection)
        >>> shapes = {}
        >>> _ = internals.run(block=lambda number, output: shapes.update({number: tuple(output.shape)}))
        >>> shapes
        {0: (1, 4, 16), 1: (1, 4, 16)}
        >>> internals.run(block=lambda number, output: torch.zeros_like(output) if number == 1 else None).item()
        0.0
    """

    batch_runner: BatchRunner
    encoded: Encoded
    readout: Readout
    injection: Injection

    @property
    def module(self) -> nn.Module:
        """The user's model, to be used within `alone`; hooks must be removed before the method returns."""
        module: nn.Module = self.batch_runner.model.model
        return module

    def alone(self) -> AbstractContextManager[Any]:
        """Open a context in which no other text runs through the model."""
        lock: AbstractContextManager[Any] = self.batch_runner.model.lock
        return lock

    @property
    def rows_a_pass(self) -> int:
        """The number of rows of this text that fill one batch; at least 1."""
        return self.batch_runner.rows_a_pass(len(self.encoded))

    @property
    def read_at(self) -> Float[Tensor, "k t"]:
        """(k, t) For each target, the weights of the tokens at which its score is read; rows sum to 1."""
        model, t = self.batch_runner.model, len(self.encoded)
        rows = []
        for target in self.readout.targets:
            if self.readout.head == "span":
                places = [part.index for part in target.parts]
            else:
                places = [position - self.readout.before for position in target.positions]
            places = places or _read_by_head(model, t)
            rows.append(torch.bincount(torch.tensor(places), minlength=t).float() / len(places))
        return torch.stack(rows)

    def run(
        self, rows: int = 1, attention: SeesAttention | None = None, block: SeesBlock | None = None
    ) -> Float[Tensor, "p k"]:
        """Run one pass over copies of the text, differentiable with respect to the tensors that the callbacks return.

        Args:
            rows: the number p of copies; up to `rows_a_pass` of them are within the token budget.
            attention: a function called in each layer with the number of the layer, the attention weights (p, h, t, s)
                and the values (p, h, s, e) of its h heads; it returns replacements of both, or None.
            block: a function called after each block with the number of the block and its output (p, t, d); it returns
                a replacement, or None.

        Returns:
            (p, k) the score of each target for each copy.

        Raises:
            UnsupportedError: the features are not those of tokens, or attention cannot be observed in this model.
            LayerError: a block did not run.
        """
        model = self.batch_runner.model
        if self.injection is not model.embeddings.injection:
            raise UnsupportedError(
                "attention and blocks can only be observed for a question about the tokens of a text, not about a "
                "layer; leave layer=None."
            )
        if attention is not None:
            check_release()
        if attention is not None and (why := why_unseen(model)):
            raise UnsupportedError(
                f"the attention of {model.name} cannot be seen: {why}. Use a method that needs only scores or "
                "gradients."
            )
        mask = torch.ones(rows, len(self.encoded), dtype=torch.bool)
        copies: TextRows = text_rows(self.encoded, mask)
        if self.readout.gathers:
            copies = GeneratorRows(**vars(copies), positions=self.readout.positions)
        request = ModelRequest(torch.full((rows,), len(self.encoded)), lambda _: copies, self.readout)
        watched = _Watched()
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(model.lock)
            if attention is not None:
                stack.enter_context(attending(watched.see(attention)))
            seen = [
                stack.enter_context(
                    tap(model.model, path, replace=_numbered(watched.see(block), number), layout=model.layout)
                )
                for number, path in enumerate(model.blocks if block is not None else ())
            ]
            scores = self.readout(self.batch_runner.forward([copies], request).logits)
            for one in seen:
                one.read()  # raises if the block did not run
        if watched.wanted:
            self.batch_runner.check_gradients()
        return scores


@dataclass(eq=False)
class _Watched:
    """Callbacks that note whether they return something that gradients are wanted of."""

    wanted: bool = False

    def see(self, callback: Any) -> Any:
        def watched(*given: Any) -> Any:
            replacements = callback(*given)
            several = replacements if isinstance(replacements, tuple) else (replacements,)
            self.wanted |= any(isinstance(one, Tensor) and one.is_leaf and one.requires_grad for one in several)
            return replacements

        return watched


def _numbered(block: Any, number: int) -> Callable[[Tensor], Tensor]:
    def replace(output: Tensor) -> Tensor:
        replacement = block(number, output)
        return output if replacement is None else replacement

    return replace


def _read_by_head(model: WrappedModel, length: int) -> list[int]:
    try:
        return [read_position(model) % length]
    except LayerError:  # pooled: every token has the same weight
        return list(range(length))
