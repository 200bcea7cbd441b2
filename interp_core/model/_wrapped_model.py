"""A user's Hugging Face model and tokenizer, seen through what a forward pass needs, and left as they are."""

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
from interp_core.model._heads import CLASSIFIERS, Head, head_of, logits_of
from interp_core.model._hooks import at_rest, blocks_of, module_at
from interp_core.model._requests import PaddedBatch, Side
from interp_core.text import Encoder, max_tokens
from jaxtyping import Float, Int
from torch import Tensor, nn

DEFAULT_BUDGET = 4096


class WrappedModel:
    """A model with its tokenizer, as the forward pass sees them. Knows nothing of splits and layers.

    Neither is changed: the tokenizer is copied, the model only ever called.

    Args:
        model: a Hugging Face model (any `nn.Module` with its call signature and a `config`).
        tokenizer: its fast tokenizer.
        tokens_per_batch: how many tokens, padding included, one pass may hold; halved for the rest of a run
            whenever memory runs out.

    Attributes:
        tried: what was found by trying the model, kept by whoever tried it.

    Raises:
        InputError: a slow tokenizer, a model without embeddings or with weights on the `meta` device.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, tokens_per_batch: int = DEFAULT_BUDGET) -> None:
        if isinstance(model, WrappedModel):
            raise InputError(f"the model is a {type(model).__name__} already; give it as it is.")
        if not isinstance(model, nn.Module):
            raise InputError(
                f"the model is {type(model).__name__}; a Hugging Face model was expected, or interp.load(path)."
            )
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(tokenizer).__name__} is not a fast tokenizer, so it cannot say which characters a token has. "
                "Load it with AutoTokenizer.from_pretrained(…, use_fast=True)."
            )
        if tokens_per_batch < 1:
            raise InputError(f"tokens_per_batch is {tokens_per_batch}; at least 1 is needed.")
        self.model: Any = model
        self.tokenizer: Any = copy.deepcopy(tokenizer)
        self.tokens_per_batch = tokens_per_batch
        self._width = 0
        self.tried: dict[str, Any] = {}
        self.lock = RLock()  # one pass at a time, whatever threads ask
        self.embeddings = Embeddings(model, self.lock)
        if any(p.is_meta for p in model.parameters()):
            raise ModelError(f"weights of {type(model).__name__} are on the 'meta' device; load them before asking.")
        self.max_tokens = max_tokens(model, tokenizer)
        start = start_id(model, tokenizer) if len(self.embeddings.paths) > 1 else None
        self.encoder = Encoder(self.tokenizer, self.max_tokens, start)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {type(self.model).__name__}, {self.device})"

    @property
    def config(self) -> Any:
        """The model's own configuration."""
        return self.model.config

    @property
    def name(self) -> str:
        """The last part of the path or hub id that the model came from, or its class."""
        return Path(getattr(self.config, "_name_or_path", "") or "").name or type(self.model).__name__

    @property
    def device(self) -> torch.device:
        """Where the embeddings are; inputs are sent there and nothing else is moved."""
        return next(self.embeddings.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the embeddings."""
        return next(self.embeddings.module.parameters()).dtype

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes of a text; empty unless the model classifies texts."""
        return self.tags if self.head in CLASSIFIERS else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the classes of a text or of its tokens; empty unless the model gives classes to one of them."""
        if self.head not in CLASSIFIERS | {"tokens"}:
            return ()
        names = self.config.id2label
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(self._width))

    @cached_property
    def head(self) -> Head:
        """What kind of answer the model gives."""
        output = self._try(self.some_ids())
        found = logits_of(output)
        self._width = 0 if found is None else found.shape[-1]
        return head_of(output, self.model, self._looks_only_back)

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """The paths of the transformer's blocks, first to last."""
        return blocks_of(self.model, getattr(self.config, "num_hidden_layers", None))

    def layer_path(self, layer: int | str) -> str:
        """The module path of a layer given as a block's number (negative from the end) or as a path.

        Raises:
            LayerError: there is no such layer.
        """
        if isinstance(layer, str):
            module_at(self.model, layer)
            return layer
        if not -len(self.blocks) <= layer < len(self.blocks):
            last = len(self.blocks) - 1
            raise LayerError(f"layer {layer} is out of range: this model has {last + 1} blocks, 0 to {last}.")
        return self.blocks[layer]

    def with_weights(self, model: nn.Module) -> WrappedModel:
        """The same wrapper around another model of the same architecture, such as one with other weights."""
        return type(self)(model, self.tokenizer, tokens_per_batch=self.tokens_per_batch)

    def forward(self, ids: Tensor, attention: Tensor) -> Any:
        """One pass over padded ids (p, t) with their mask."""
        return self.run(PaddedBatch(ids, attention.bool()))

    def run(self, batch: PaddedBatch) -> Any:
        """One pass over padded rows; every call of the model goes through here."""
        ids, attention = batch.ids, batch.attention
        if int(ids.max()) >= self.embeddings.count:
            count = self.embeddings.count
            raise InputError(f"tokenizer and model do not fit: id {int(ids.max())}, {count} embeddings.")
        given = {"input_ids": ids, "attention_mask": attention.long()}
        if self.encoder.start_id is not None and (batch.source or self.model.get_output_embeddings() is not None):
            given = model_inputs(batch, self.encoder.start_id)
        elif batch.types is not None and "token_type_ids" in self._accepts:
            given["token_type_ids"] = batch.types
        extra = {"use_cache": False} if "use_cache" in self._accepts else {}
        return self.model(**{name: v.to(self.device) for name, v in given.items()}, return_dict=True, **extra)

    def side_of(self, path: str) -> Side:
        """Which of the tokens pass through a module: all, or, of a model with two stacks, those of one of them."""
        alone = self.encoder.start_id is None or path in self.embeddings.paths
        return "both" if alone else side_of(self.model, path)

    def embed(self, ids: Int[Tensor, " t"], source: int = 0) -> Float[Tensor, "t d"]:
        """The embeddings of ids, see `Embeddings`."""
        return self.embeddings(ids, source)

    @cached_property
    def pad_id(self) -> int:
        """The id that fills short rows: the one the model itself recognises as padding, if it names one."""
        for source in (self.config, self.tokenizer):
            found = getattr(source, "pad_token_id", None)
            if isinstance(found, int) and found >= 0:
                return found
        return 0

    @cached_property
    def one_row_a_pass(self) -> bool:
        """True for models that cannot tell where a padded row ends: tried, since some refuse and others go wrong."""
        if self.head not in CLASSIFIERS:
            return False
        ids, short = self.some_ids(), self.some_ids()[:, :-1]
        both = torch.cat([ids, torch.cat([short, torch.full_like(ids[:, :1], self.pad_id)], dim=1)])
        attention = torch.ones_like(both)
        attention[1, -1] = 0
        try:
            found = self.logits(both, attention)[1]
        except ValueError:
            return True
        return not torch.allclose(found.float(), self.logits(short)[0].float(), atol=1e-2, rtol=1e-2)

    def non_finite(self) -> str:
        """The weights that hold NaN or infinity, named for an error message."""
        faulty = [name for name, p in self.model.named_parameters() if not torch.isfinite(p).all()]
        return f" Its weights {', '.join(faulty[:3])} hold NaN or infinity." if faulty else ""

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    def _try(self, ids: Tensor, attention: Tensor | None = None) -> Any:
        with self.lock, torch.no_grad(), at_rest(self.model):
            return self.forward(ids, torch.ones_like(ids) if attention is None else attention)

    def logits(self, ids: Tensor, attention: Tensor | None = None) -> Tensor:
        """The logits of ids (p, t), on the CPU; empty for a model that has none."""
        found = logits_of(self._try(ids, attention))
        return torch.empty(0) if found is None else found.cpu()

    def some_ids(self) -> Int[Tensor, "1 t"]:
        """A short text as ids, one row, to try the model with."""
        return self.encoder("one two three four").ids[None]

    def _looks_only_back(self) -> bool:
        ids = self.some_ids()
        other = ids.clone()
        other[0, -1] = (ids[0, -1] + 1) % max(2, len(self.tokenizer))
        return torch.allclose(self.logits(ids)[0, 0], self.logits(other)[0, 0], atol=1e-6)
