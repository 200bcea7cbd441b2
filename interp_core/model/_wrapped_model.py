"""A user's Hugging Face model and tokenizer with what a forward pass needs. Both are left unchanged."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from interp_core.errors import InputError, LayerError, ModelError
from interp_core.model._embeddings import Embeddings
from interp_core.model._encoder_decoder import model_inputs, side_of, start_id
from interp_core.model._heads import CLASSIFIERS, Head, head_of
from interp_core.model._hooks import at_rest, blocks_of, module_at
from interp_core.model._logits_to_scores import logits_of
from interp_core.model._requests import PaddedBatch, Side
from interp_core.text import Encoder, max_tokens
from jaxtyping import Float, Int
from torch import Tensor, nn

DEFAULT_BUDGET = 4096


class WrappedModel:
    """A model with its tokenizer, as the forward pass needs them; `TextModel` adds splits and layers.

    Neither is changed: the tokenizer is copied, the model is only called.

    Args:
        model: a Hugging Face model (any `nn.Module` with its call signature and a `config`).
        tokenizer: its fast tokenizer.
        tokens_per_batch: the most tokens in one pass, padding included; halved for the rest of a run whenever memory
            runs out.

    Attributes:
        tried: a cache for the results of trials of the model.
        lock: held during each pass, so that threads take turns.
        embeddings: the token embeddings.
        encoder: turns a text into token ids with their characters.
        max_tokens: the most tokens that the model takes.

    Raises:
        InputError: the tokenizer is slow, the model does not name its embeddings, or `tokens_per_batch` is below 1.
        ModelError: weights are on the `meta` device.

    Examples:
        >>> from interp_core.model import WrappedModel
        >>> from interp_core.testing import planted_model
        >>> planted = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> model = WrappedModel(planted.model, planted.tokenizer)
        >>> model.logits(model.encoder("sad but happy").ids[None])
        tensor([[2., 3.]])
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, tokens_per_batch: int = DEFAULT_BUDGET) -> None:
        if isinstance(model, WrappedModel):
            raise InputError(f"the model is a {type(model).__name__} already; pass it as it is.")
        if not isinstance(model, nn.Module):
            raise InputError(
                f"the model is {type(model).__name__}; a Hugging Face model was expected, or interp.load(path)."
            )
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(tokenizer).__name__} is not a fast tokenizer, so the characters of each token are unknown. "
                "Load it with AutoTokenizer.from_pretrained(…, use_fast=True)."
            )
        if tokens_per_batch < 1:
            raise InputError(f"tokens_per_batch is {tokens_per_batch}; at least 1 is needed.")
        self.model: Any = model
        self.tokenizer: Any = copy.deepcopy(tokenizer)
        self.tokens_per_batch = tokens_per_batch
        self._width = 0
        self.tried: dict[str, Any] = {}
        self.lock = RLock()  # one pass at a time, from any thread
        self.embeddings = Embeddings(model, self.lock)
        if any(p.is_meta for p in model.parameters()):
            raise ModelError(f"weights of {type(model).__name__} are on the 'meta' device; load them first.")
        self.max_tokens = max_tokens(model, tokenizer)
        start = start_id(model, tokenizer) if len(self.embeddings.paths) > 1 else None
        self.encoder = Encoder(self.tokenizer, self.max_tokens, start)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {type(self.model).__name__}, {self.device})"

    @property
    def config(self) -> Any:
        """The configuration of the Hugging Face model."""
        return self.model.config

    @property
    def name(self) -> str:
        """The last part of the path or hub id that the model was loaded from, or the name of its class."""
        return Path(getattr(self.config, "_name_or_path", "") or "").name or type(self.model).__name__

    @property
    def _embedding(self) -> nn.Parameter:
        """The table of the embeddings, as it is now."""
        return module_at(self.model, self.embeddings.paths[0]).get_parameter("weight")

    @property
    def device(self) -> torch.device:
        """The device of the embeddings. Inputs are moved there; nothing else is moved."""
        return self._embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the embeddings."""
        return self._embedding.dtype

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty unless the model classifies texts."""
        return self.tags if self.head in CLASSIFIERS else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the classes; empty unless the model classifies texts or their tokens."""
        if self.head not in CLASSIFIERS | {"tokens"}:
            return ()
        names = self.config.id2label
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(self._width))

    @cached_property
    def head(self) -> Head:
        """The type of head, detected with a short text."""
        output = self._try(self.some_ids())
        logits = logits_of(output)
        self._width = 0 if logits is None else logits.shape[-1]
        return head_of(output, logits, self.model, self._is_causal)

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """The module paths of the transformer's blocks, first to last.

        Raises:
            LayerError: they were not found.
        """
        return blocks_of(self.model, getattr(self.config, "num_hidden_layers", None))

    def layer_path(self, layer: int | str) -> str:
        """The module path of a layer.

        Args:
            layer: the number of a block, negative from the end, or a module path.

        Raises:
            LayerError: there is no such layer, or the blocks of the model were not found.
        """
        if isinstance(layer, str):
            module_at(self.model, layer)
            return layer
        if isinstance(layer, bool) or not isinstance(layer, int):
            raise LayerError(f"layer is {layer!r}; the number of a block or a module path was expected.")
        if not -len(self.blocks) <= layer < len(self.blocks):
            last = len(self.blocks) - 1
            raise LayerError(f"layer {layer} is out of range: this model has {last + 1} blocks, 0 to {last}.")
        return self.blocks[layer]

    def with_weights(self, model: nn.Module) -> WrappedModel:
        """A wrapper with the same tokenizer and batch size around another model of the same architecture."""
        return type(self)(model, self.tokenizer, tokens_per_batch=self.tokens_per_batch)

    def forward(self, ids: Tensor, attention: Tensor) -> Any:
        """The model's output for padded ids (p, t) with their attention mask (p, t); see `run`."""
        return self.run(PaddedBatch(ids, attention.bool()))

    def run(self, batch: PaddedBatch) -> Any:
        """The model's output for a batch. Every call of the model goes through here.

        Raises:
            InputError: an id is out of range for the embeddings.
        """
        ids, attention = batch.ids, batch.attention
        count = len(self._embedding)
        if int(ids.max()) >= count:
            raise InputError(
                f"the tokenizer gives id {int(ids.max())}, but the model has {count} embeddings; load the tokenizer of "
                "this model."
            )
        inputs = {"input_ids": ids, "attention_mask": attention.long()}
        if self.encoder.start_id is not None and (batch.source or self.model.get_output_embeddings() is not None):
            inputs = model_inputs(batch, self.encoder.start_id)
        elif batch.types is not None and "token_type_ids" in self._accepts:
            inputs["token_type_ids"] = batch.types
        extra = {"use_cache": False} if "use_cache" in self._accepts else {}
        return self.model(**{name: v.to(self.device) for name, v in inputs.items()}, return_dict=True, **extra)

    def side_of(self, path: str) -> Side:
        """The tokens that a module processes: in an encoder-decoder model those of one side, otherwise all."""
        both = self.encoder.start_id is None or path in self.embeddings.paths
        return "both" if both else side_of(self.model, path)

    def embed(self, ids: Int[Tensor, " t"], source: int = 0) -> Float[Tensor, "t d"]:
        """The embeddings of ids, in at least 32 bits, on the model's device.

        Args:
            ids: the token ids.
            source: the number of them that the encoder reads; 0 without a decoder.
        """
        return self.embeddings(ids, source)

    @cached_property
    def pad_id(self) -> int:
        """The id that fills short rows: the padding id of the model, else of the tokenizer, else 0."""
        for owner in (self.config, self.tokenizer):
            pad_id = getattr(owner, "pad_token_id", None)
            if isinstance(pad_id, int) and pad_id >= 0:
                return pad_id
        return 0

    @cached_property
    def one_row_a_pass(self) -> bool:
        """Whether padding changes the logits of a classifier, or is refused by it; tested on a short text."""
        if self.head not in CLASSIFIERS:
            return False
        ids, short = self.some_ids(), self.some_ids()[:, :-1]
        both = torch.cat([ids, torch.cat([short, torch.full_like(ids[:, :1], self.pad_id)], dim=1)])
        attention = torch.ones_like(both)
        attention[1, -1] = 0
        try:
            padded = self.logits(both, attention)[1]
        except ValueError:
            return True
        return not torch.allclose(padded.float(), self.logits(short)[0].float(), atol=1e-2, rtol=1e-2)

    def non_finite(self) -> str:
        """A sentence for error messages that names weights with NaN or infinity; empty if there are none."""
        faulty = [name for name, p in self.model.named_parameters() if not torch.isfinite(p).all()]
        return f" Its weights {', '.join(faulty[:3])} hold NaN or infinity." if faulty else ""

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    def _try(self, ids: Tensor, attention: Tensor | None = None) -> Any:
        with self.lock, torch.no_grad(), at_rest(self.model):
            return self.forward(ids, torch.ones_like(ids) if attention is None else attention)

    def logits(self, ids: Tensor, attention: Tensor | None = None) -> Tensor:
        """The logits for ids (p, t), on the CPU; empty for a model without logits.

        Args:
            ids: the token ids.
            attention: True for the tokens that the model sees (p, t); all by default.

        Raises:
            InputError: an id is out of range for the embeddings.
        """
        logits = logits_of(self._try(ids, attention))
        return torch.empty(0) if logits is None else logits.cpu()

    def some_ids(self) -> Int[Tensor, "1 t"]:
        """The ids of a short text, for trials of the model."""
        return self.encoder("one two three four").ids[None]

    def _is_causal(self) -> bool:
        ids = self.some_ids()
        other = ids.clone()
        other[0, -1] = (ids[0, -1] + 1) % max(2, len(self.tokenizer))
        return torch.allclose(self.logits(ids)[0, 0], self.logits(other)[0, 0], atol=1e-6)
