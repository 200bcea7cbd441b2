"""One layer of a model: what it holds for a text, and the model that goes on from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from interp_core.errors import LayerError
from interp_core.model._forward import BatchRunner
from interp_core.model._hooks import module_at
from interp_core.model._layer_capabilities import LayerCapabilities, read_position
from interp_core.model._readout import predicted
from interp_core.model._requests import Injection, ModelRequest, whole_text
from interp_core.model._wrapped_model import WrappedModel
from interp_core.text import DividedText, Encoded, Granularity, pool
from jaxtyping import Float, Int
from torch import Tensor


class Layer:
    """A layer of a model.

    Args:
        model: the model.
        path: the module whose output is read and replaced.

    Raises:
        LayerError: there is no such module.
    """

    def __init__(self, model: WrappedModel, path: str) -> None:
        module_at(model.model, path)
        self.model, self.path = model, path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.name}, {self.path!r})"

    @cached_property
    def capabilities(self) -> LayerCapabilities:
        """What can be done here, found by trying."""
        return LayerCapabilities(self.model, self.path)

    @cached_property
    def width(self) -> int:
        """The width d of what the layer gives."""
        return int(self.sample.shape[-1])

    @cached_property
    def sample(self) -> Float[Tensor, "t d"]:
        """What the layer holds for a short text, to tell whether it is the same layer of the same model."""
        return self.states(BatchRunner(self.model), [self.model.encoder("one two three four")])[0].float().cpu()

    def states(self, batch_runner: BatchRunner, encoded: Sequence[Encoded]) -> list[Float[Tensor, "t d"]]:
        """The layer's output for each token of each text; the pass stops there."""
        self.capabilities.runs_once  # noqa: B018 - refuses a layer that does not
        requests = [ModelRequest(torch.tensor([len(e)]), whole_text(e), read=self.path, stop=True) for e in encoded]
        return [output.hidden[0] for output in batch_runner.run(requests)]

    def resume(
        self,
        states: Sequence[Float[Tensor, "t d"]],
        encoded: Sequence[Encoded],
        batch_runner: BatchRunner | None = None,
    ) -> list[Float[Tensor, "*m v"]]:
        """The logits of several texts as if the layer had given these states; texts share passes.

        Blocks below the layer do not run where that has been shown to change nothing.

        Args:
            states: of each text.
            encoded: the texts.
            batch_runner: counts what it costs; one of its own by default.

        Returns:
            For each text (v), or (t, v) where the head answers at each token; on the CPU, float32.
        """
        requests = [
            ModelRequest(
                torch.tensor([len(e)]),
                whole_text(e, s[None].to(self.model.device, self.model.dtype)),
                injection=self.injection,
                logits=True,
            )
            for s, e in zip(states, encoded, strict=True)
        ]
        outputs = (batch_runner or BatchRunner(self.model)).run(requests)
        logits = [output.logits[0].float().cpu() for output in outputs]
        return [one[: len(e)] if one.ndim == 2 else one for one, e in zip(logits, encoded, strict=True)]

    @property
    def injection(self) -> Injection:
        """Where states enter: past the blocks below where that is proven equal, else by replacing the output."""
        return self.capabilities.injection

    @property
    def head_reads_one_row(self) -> bool:
        """True when the answer depends on the layer through one position alone, so that `cls` rows say all there is."""
        return self.capabilities.head_reads_one_row

    def position(self, length: int) -> int:
        """Which token of a text the classifier reads, found by trying; without a classifier, the class token.

        Raises:
            LayerError: the model has no such position, or reads several.
        """
        if self.model.labels:
            return read_position(self.model) % length
        if self.model.encoder.cls_position is None:
            raise LayerError(f"{self.model.name} has no class token, so granularity 'cls' means nothing; use 'sample'.")
        return self.model.encoder.cls_position % length

    def row_of(self, encoded: DividedText, granularity: str) -> Int[Tensor, " t"]:
        """The row, among those of this text, that each token takes part in; -1 for none."""
        if granularity == "cls":
            return torch.full((len(encoded),), -1).index_fill_(0, torch.tensor([self.position(len(encoded))]), 0)
        return encoded.unit_of

    def predicted(self, logits: Float[Tensor, " v"]) -> Tensor:
        """The class of a text; of a multi-label head True for each class it has."""
        classes = torch.tensor(predicted(logits, self.model.head))
        return torch.zeros(len(logits), dtype=torch.bool).index_fill_(0, classes, True) if self.several else classes[0]

    @property
    def several(self) -> bool:
        """Whether a text can have several classes."""
        return self.model.head == "multi-label"

    def pooled(
        self, encoded: DividedText, hidden: Float[Tensor, "t d"], granularity: Granularity
    ) -> Float[Tensor, "u d"]:
        """From a row for each token to a row for each unit."""
        if granularity == "cls":
            where = self.position(len(encoded))
            return hidden[where][None]
        return pool(hidden.float(), encoded.unit_of.to(hidden.device), len(encoded.units))
