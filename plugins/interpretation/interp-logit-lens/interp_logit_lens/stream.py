"""The residual stream of a model: the states that enter and leave its blocks, and what its head says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from interp_core.errors import InputError, LayerError, ModelError, UnsupportedError
from interp_core.model import (
    BatchRunner,
    GeneratorRows,
    Layer,
    ModelRequest,
    TextModel,
    TextRows,
    hidden_of,
    module_at,
    repack,
    text_rows,
)
from interp_core.results import Cost
from interp_core.text import Encoded, Text
from jaxtyping import Float
from torch import Tensor, nn

EMBEDDINGS = "embeddings"  # the name of what enters the first block
VOCABULARY = frozenset({"causal", "masked", "encoder-decoder"})
READABLE = VOCABULARY | {"tokens", "single-label"}  # heads that choose one of several
SAME = 1e-3  # share of the largest state


class Stream:
    """The states between the blocks of one model, and its head run on them.

    A state is injected in place of what the last block gives, and what follows that block runs on it: final norms,
    transforms, the unembedding, the capping of logits. So nothing has to be known of an architecture, and the states
    of the last block give the model's own answer.

    Args:
        model: the model.
        cost: where passes are counted; a new `Cost` by default.

    Attributes:
        model: the model.
        runner: runs it.
        blocks: the paths of its blocks, first to last; of an encoder-decoder model, those of the decoder.
        last: the last block.

    Raises:
        InputError: this is no `TextModel`.
        UnsupportedError: the head does not choose one of several tokens, tags or classes, or reads two stacks.
        LayerError: the blocks were not found.
    """

    def __init__(self, model: TextModel, cost: Cost | None = None) -> None:
        if not isinstance(model, TextModel):
            raise InputError(
                f"the model is {type(model).__name__}; interp.load(path) or interp.TextModel was expected."
            )
        if model.head not in READABLE:
            raise UnsupportedError(
                f"{model.name} has a head of type {model.head!r}; a lens needs one that chooses one of several tokens, "
                "tags or classes."
            )
        two_stacks = model.encoder.start_id is not None
        if two_stacks and model.head != "encoder-decoder":
            raise UnsupportedError(
                f"{model.name} reads the text in an encoder and again in a decoder, so its blocks are not one stream; "
                "a lens needs a model with one stack, or one that generates."
            )
        self.model, self.runner = model, BatchRunner(model, cost)
        self.blocks = _decoder_blocks(model) if two_stacks else model.blocks
        self.last = _last_layer(model, self.blocks[-1])
        self._width: int | None = None
        self._told: bool | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The embeddings and the blocks, first to last."""
        return (EMBEDDINGS, *self.blocks)

    def encoded(self, text: Text, continuation: str | None = None) -> Encoded:
        """A text as the model receives it, cut to what it takes.

        Args:
            text: the text, pair or chat.
            continuation: what the model is read as going on with; for an encoder-decoder model the target.

        Raises:
            InputError: it is not a text or is empty, there are more tokens than the model takes where a continuation
                follows, or the model does not go on with a text.
        """
        generates = self.model.head in ("causal", "encoder-decoder")
        if continuation is not None and not generates:
            raise InputError(f"{self.model.name} does not go on with a text; leave continuation= out.")
        if continuation is not None:
            return self.model.encoder.with_continuation(text, continuation)
        if self.model.head == "encoder-decoder":
            return self.model.encoder.prompt(text)
        encoded = self.model.encoder(text)
        return replace(encoded, types=None) if self.model.head == "causal" else encoded  # generators take no types

    def positions(self, encoded: Encoded) -> tuple[int, ...]:
        """The positions at which the head says something; 0 alone for one that says something of the whole text."""
        if self.model.head == "single-label":
            return (0,)
        return tuple(range(encoded.source, len(encoded)))

    def states(self, encoded: Sequence[Encoded], layers: Sequence[str]) -> list[dict[str, Float[Tensor, "_ d"]]]:
        """The states of texts at several layers for each token; of an encoder-decoder model, each of the decoder's.

        Args:
            encoded: the texts, which share passes.
            layers: paths of blocks, or `EMBEDDINGS`.

        Returns:
            For each text the states (t, d) by layer, in this order. The embeddings are missing where what enters the
            first block is not known, or holds more than a token and its position.

        Raises:
            LayerError: the states of the blocks differ in width, or are not one for each token.
            ModelError: a state is NaN or infinite.
        """
        blocks = tuple(layer for layer in layers if layer != EMBEDDINGS)
        found: list[dict[str, Tensor]] = [{} for _ in encoded]
        width = self._width_for(encoded[0])
        for one, hidden in zip(found, self._hidden(encoded, blocks) if blocks else (), strict=bool(blocks)):
            if hidden.shape[-1] != width * len(blocks):
                raise LayerError(
                    f"the blocks of {self.model.name} have states of different widths, so that those of one cannot "
                    "stand for those of the last; name layers of the last block's width."
                )
            one.update(zip(blocks, hidden.split(width, dim=-1), strict=True))
        if EMBEDDINGS in layers and self._tells_embeddings(encoded[0]):
            for one, entering in zip(found, self._entering(encoded), strict=True):
                one[EMBEDDINGS] = entering
        for layer, values in (item for one in found for item in one.items()):
            if not torch.isfinite(values).all():
                raise ModelError(f"{layer!r} holds NaN or infinity for this text.{self.model.non_finite()}")
        return [{layer: one[layer] for layer in layers if layer in one} for one in found]

    def logits(
        self, encoded: Encoded, positions: Sequence[int], states: Float[Tensor, "p t d"] | None = None
    ) -> Float[Tensor, "p m v"]:
        """The logits at some positions, with each of several states in place of what the last block gives.

        Args:
            encoded: the text.
            positions: m of those of `positions(encoded)`.
            states: (p, t, d); None for the model's own, p = 1.

        Raises:
            ModelError: they are NaN.
        """
        count = 1 if states is None else len(states)
        request = ModelRequest(
            torch.full((count,), len(encoded)),
            lambda numbers: self.rows(
                encoded, positions, len(numbers), None if states is None else states[numbers.to(states.device)]
            ),
            injection=None if states is None else self.last.injection,
            logits=True,
        )
        (output,) = self.runner.run([request])
        logits = torch.stack([self.at(one, positions) for one in output.logits])
        if torch.isnan(logits).any():
            raise ModelError(f"the head of {self.model.name} gives NaN for this text.{self.model.non_finite()}")
        return logits

    def rows(
        self, encoded: Encoded, positions: Sequence[int], count: int, values: Tensor | None = None
    ) -> TextRows | GeneratorRows:
        """Equal rows of a text, whose logits are read at some positions, with the values that enter."""
        rows = text_rows(encoded, torch.ones(count, len(encoded), dtype=torch.bool), values)
        return GeneratorRows(**vars(rows), positions=tuple(positions)) if self.model.head in VOCABULARY else rows

    def at(self, logits: Tensor, positions: Sequence[int]) -> Float[Tensor, "m v"]:
        """The logits of a row as the model gives them, at the positions that its request reads; at least float32."""
        if self.model.head == "single-label":
            logits = logits[None]
        elif self.model.head not in VOCABULARY:
            logits = logits[list(positions)]
        return logits[: len(positions)].to(torch.promote_types(logits.dtype, torch.float32))

    def _hidden(self, encoded: Sequence[Encoded], paths: tuple[str, ...]) -> list[Tensor]:
        requests = [ModelRequest(torch.tensor([len(e)]), partial(_whole, e), read=paths, stop=True) for e in encoded]
        return [output.hidden[0] for output in self.runner.run(requests)]

    def _width_for(self, encoded: Encoded) -> int:
        """The width of the last block, found with a text once."""
        if self._width is None:
            self.last.capabilities.runs_once  # noqa: B018 - raises for a layer that does not
            self._width = int(self._hidden([encoded], self.blocks[-1:])[0].shape[-1])
        return self._width

    def _tells_embeddings(self, encoded: Encoded) -> bool:
        """Whether what enters the first block is found, and holds no more than a token and its position; tried once.

        Where a change of the first token changes what enters at another, the module that stands for the first block
        begins behind attention.
        """
        if self._told is None:
            ids = encoded.ids.clone()
            others = ids[ids != ids[0]]
            ids[0] = others[0] if len(others) else (ids[0] + 1) % self.model.embeddings.count
            own, changed = self._entering([encoded, replace(encoded, ids=ids)]) or (None, None)
            rest = slice(0 if encoded.source else 1, None)  # of a decoder, a token of the source was changed
            self._told = (
                own is not None
                and changed is not None
                and own.shape[-1] == self._width
                and bool(((own - changed)[rest].abs() <= SAME * own.abs().max()).all())
            )
        return self._told

    def _entering(self, encoded: Sequence[Encoded]) -> list[Tensor]:
        """What enters the first block: read as its output, while it hands on what it is given; empty if not found."""
        first, handing = self.blocks[0], _HandingOn()
        with self.model.lock:
            hook = module_at(self.model.model, first).register_forward_hook(handing, with_kwargs=True)
            try:
                hidden = self._hidden(encoded, (first,))
            finally:
                hook.remove()
        return [] if handing.failed else hidden


class _HandingOn:
    """A hook that makes a module give what enters it: of what it is called with, the first like what it gives.

    Attributes:
        failed: whether there was no such thing in a call.
    """

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        shape = hidden_of(output, "the first block").shape
        given = [kwargs.get("hidden_states"), *args, *kwargs.values()]
        entering = [one for one in given if isinstance(one, Tensor) and one.shape == shape]
        self.failed |= not entering
        return repack(output, entering[0]) if entering else output


def _whole(encoded: Encoded, rows: Tensor) -> TextRows:
    """Equal rows of a text, with all of its tokens."""
    return text_rows(encoded, torch.ones(len(rows), len(encoded), dtype=torch.bool))


def _last_layer(model: TextModel, path: str) -> Layer:
    """The last block, with what was tried of it; kept with the other trials of the model, as it is there now."""
    key = f"last block {path} on {model.device} in {model.dtype}"
    if key not in model.tried:
        model.tried[key] = Layer(model, path)
    layer: Layer = model.tried[key]
    return layer


def _decoder_blocks(model: TextModel) -> tuple[str, ...]:
    """The paths of the decoder's blocks: its first list of as many modules as the configuration names layers.

    Raises:
        LayerError: there is none.
    """
    owner = model.model if hasattr(model.model, "get_decoder") else model.model.base_model
    decoder, config = owner.get_decoder(), getattr(model.config, "decoder", None) or model.config
    named = ("num_decoder_layers", "decoder_layers", "num_hidden_layers")
    depth = next((count for name in named if (count := getattr(config, name, None))), None)
    for path, module in model.model.named_modules():
        inside = any(module is one for one in decoder.modules())
        if inside and isinstance(module, nn.ModuleList) and len(module) == depth:
            return tuple(f"{path}.{number}" for number in range(len(module)))
    raise LayerError(f"the blocks of the decoder of {model.name} were not found, so that a lens has nothing to read.")
