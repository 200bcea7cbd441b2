"""Layers of a model: their states for a text, and passes that resume from such states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._forward import BatchRunner
from interp_core.model._hooks import call_of, module_at
from interp_core.model._layer_capabilities import LayerCapabilities
from interp_core.model._logits_to_scores import predicted
from interp_core.model._module_state import undisturbed
from interp_core.model._read_position import head_reads_one_row, read_position
from interp_core.model._requests import Injection, ModelRequest, whole_text
from interp_core.model._stream import SAID, role_in_stream
from interp_core.model._transfer import to_device
from interp_core.model._wrapped_model import WrappedModel
from interp_core.text import NO_UNIT, DividedText, Encoded, Granularity, pool
from jaxtyping import Float, Int
from torch import Tensor


class Layer:
    """A layer of a model, to read its states and to resume passes from them.

    Args:
        model: the model.
        path: the module whose output is read and replaced, as in `model.named_modules()`; for a module that runs
            several times in a pass, followed by the number of the call: `"layer@0"` is the first.

    Raises:
        LayerError: there is no such module.

    Examples:
        A pass that resumes from the states of a layer gives the same logits as a full pass.

        >>> from interp_core.model import BatchRunner, Layer
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> encoded = model.encoder("so happy today")
        >>> layer = Layer(model, "bert.encoder.layer.0")
        >>> (states,) = layer.states(BatchRunner(model), [encoded])
        >>> states.shape
        torch.Size([5, 16])
        >>> (logits,) = layer.resume([states], [encoded])
        >>> torch.allclose(logits, model.logits(encoded.ids[None])[0], atol=1e-5)
        True
    """

    def __init__(self, model: WrappedModel, path: str) -> None:
        module_at(model.model, path)
        self.model, self.path = model, path

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, as its model."""
        return type(self), (self.model, self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.name}, {self.path!r})"

    @property
    def call(self) -> int | None:
        """The number of the call after `@` in the path, for a module that runs several times in a pass; else None."""
        return call_of(self.path)[1]

    @cached_property
    def capabilities(self) -> LayerCapabilities:
        """What the layer allows, tested on first use."""
        return LayerCapabilities(self.model, self.path)

    @cached_property
    def width(self) -> int:
        """The width d of the states."""
        return int(self.sample.shape[-1])

    @cached_property
    @undisturbed
    def sample(self) -> Float[Tensor, "t d"]:
        """(t, d) The states of a short text, by which the layer is recognised; on the CPU, float32."""
        return (
            self.states(BatchRunner(self.model), [self.model.encoder(self.model.probe("one two three four"))])[0]
            .float()
            .cpu()
        )

    def states(self, batch_runner: BatchRunner, encoded: Sequence[Encoded]) -> list[Float[Tensor, "t d"]]:
        """Read the output of the layer for each token of several texts; passes stop at the layer.

        Args:
            batch_runner: runs the model.
            encoded: the texts.

        Returns:
            (t, d) the states of each text, on the model's device.

        Raises:
            LayerError: the layer runs twice in a pass, or has no state for each token.
        """
        self.capabilities.runs_once  # noqa: B018 - raises for a layer that does not
        requests = [ModelRequest(torch.tensor([len(e)]), whole_text(e), read=self.path, stop=True) for e in encoded]
        return [output.hidden[0] for output in batch_runner.run(requests)]

    def resume(
        self,
        states: Sequence[Float[Tensor, "t d"]],
        encoded: Sequence[Encoded],
        batch_runner: BatchRunner | None = None,
    ) -> list[Float[Tensor, "*m v"]]:
        """Resume the model from states of the layer, and return the logits of several texts, which share passes.

        The blocks below the layer are skipped where a trial has shown that this does not change the logits.

        Args:
            states: (t, d) the states of each text.
            encoded: the texts.
            batch_runner: runs the model and counts the cost; a new one by default.

        Returns:
            The logits of each text, (v), or (t, v) where the head predicts at each token; on the CPU, float32.

        Raises:
            LayerError: the layer runs twice in a pass, or has no state for each token.
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

    def describe(self) -> str:
        """Say whether the output of the layer is the residual stream itself or something that is added to it.

        This is tested, since modules of the same name differ: in some architectures, the attention module includes the
        residual connection.

        Returns:
            One sentence.

        Raises:
            LayerError: the block that contains the layer runs several times in a pass.

        Examples:
            >>> from interp_core.testing import tiny_generator
            >>> model = tiny_generator()
            >>> print(model.split("transformer.h.0.mlp").describe())
            transformer.h.0.mlp: its output is added to the residual stream, which goes on beside it.
        """
        return f"{self.path}: {SAID[role_in_stream(self.capabilities)]}."

    @property
    def injection(self) -> Injection:
        """The place where states enter: above the skipped blocks if a trial shows equal outputs, else the output."""
        return self.capabilities.injection

    @cached_property
    @undisturbed
    def head_reads_one_row(self) -> bool:
        """Whether the logits depend on the layer at one position alone, so that `cls` rows determine them."""
        return head_reads_one_row(self.capabilities)

    @cached_property
    @undisturbed
    def _read_position(self) -> int:
        return read_position(self.model)

    def position(self, length: int) -> int:
        """Find the token of a text that the classifier reads, or the class token of a model that is not a classifier.

        The first token of a causal model attends to nothing but itself, so it is not a class token, whatever its name.

        Args:
            length: the number of tokens of the text.

        Returns:
            The position of the token, from the start.

        Raises:
            LayerError: the classifier reads several positions, or the model has no class token.
        """
        if self.model.labels:
            return self._read_position % length
        if self.model.head == "causal":
            raise LayerError(
                f"{self.model.name} has no class token: the first token of a generator sees nothing but itself. Use "
                "granularity 'last', the token from which it goes on."
            )
        if self.model.encoder.cls_position is None:
            raise LayerError(f"{self.model.name} has no class token for granularity 'cls'; use 'sample' instead.")
        return self.model.encoder.cls_position % length

    def reads_at(self, encoded: DividedText, granularity: Granularity) -> int | None:
        """Find the single token that a row stands for, with the granularities `"cls"` and `"last"`.

        Args:
            encoded: the text.
            granularity: the units that rows stand for.

        Returns:
            The position of the token, from the start; None for other granularities, whose rows are means.

        Raises:
            LayerError: `granularity` is `"cls"`, and there is no single position to read; see `position`.
        """
        if granularity == "cls":
            return self.position(len(encoded))
        return encoded.last if granularity == "last" else None

    def row_of(self, encoded: DividedText, granularity: str) -> Int[Tensor, " s"]:
        """Assign each token to a row of the text.

        Args:
            encoded: the text, of s tokens; in an encoder-decoder model, only those of the layer's side count.
            granularity: the units that rows stand for.

        Returns:
            (s) the number of the row of each token among those of the text; -1 for none.

        Raises:
            LayerError: `granularity` is `"cls"`, and there is no single position to read; see `position`.
        """
        at, row_of = self.reads_at(encoded, granularity), encoded.unit_of
        if at is not None:
            row_of = torch.full((len(encoded),), -1).index_fill_(0, torch.tensor([at]), 0)
        side = self.model.side_of(self.path) if encoded.source else "both"
        return row_of[encoded.source :] if side == "target" else row_of[: encoded.source if side == "source" else None]

    def predicted(self, logits: Float[Tensor, " v"]) -> Tensor:
        """Compute the predicted class.

        Args:
            logits: (v) the logits of one text.

        Returns:
            The number of the class, a scalar; for a multi-label head (v), True for each predicted class.
        """
        classes = torch.tensor(predicted(logits, self.model.head))
        return torch.zeros(len(logits), dtype=torch.bool).index_fill_(0, classes, True) if self.several else classes[0]

    @property
    def several(self) -> bool:
        """Whether a text can have several classes (multi-label)."""
        return self.model.head == "multi-label"

    def pooled(
        self, encoded: Sequence[DividedText], hidden: Sequence[Float[Tensor, "t d"]], granularity: Granularity
    ) -> Float[Tensor, "n d"]:
        """Pool the states of tokens to one row for each unit.

        Args:
            encoded: the texts with their units.
            hidden: (t, d) the states of each text.
            granularity: `"cls"` and `"last"` for the row of one token, in the data type of `hidden`; any other for the
                mean over the tokens of each unit, in float32.

        Returns:
            (n, d) the rows of the n units of all texts.

        Raises:
            LayerError: `granularity` is `"cls"`, and there is no single position to read; see `position`.
        """
        if granularity in ("cls", "last"):
            return torch.stack(
                [states[self.reads_at(one, granularity)] for one, states in zip(encoded, hidden, strict=True)]
            )
        counts = [len(one.units) for one in encoded]
        unit_of = torch.cat(
            [
                torch.where(one.unit_of == NO_UNIT, NO_UNIT, one.unit_of + start)
                for one, start in zip(encoded, accumulate(counts, initial=0), strict=False)
            ]
        )
        return pool(torch.cat(list(hidden)).float(), to_device(unit_of, hidden[0].device), sum(counts))
