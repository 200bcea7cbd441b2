"""The user's Hugging Face model and tokenizer, seen through what the toolkit needs and left as they are."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
from interp_core.encoding import Encoder, most_tokens
from interp_core.errors import InputError, LayerError, ModelError
from interp_core.hooks import TapEntry, at_rest, blocks_of, module_at
from interp_core.targets import Head
from jaxtyping import Float, Int
from torch import Tensor, nn

if TYPE_CHECKING:
    from interp_core.split import SplitModel

DEFAULT_BUDGET = 4096


class TextModel:
    """A model with its tokenizer. Neither is changed: the tokenizer is copied, the model only ever called.

    Args:
        model: a Hugging Face model (any `nn.Module` with its call signature and a `config`).
        tokenizer: its fast tokenizer.
        tokens_per_batch: how many tokens, padding included, one pass may hold; halved for the rest of a run
            whenever memory runs out.

    Raises:
        InputError: a slow tokenizer, a model without embeddings or with weights on the `meta` device.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, tokens_per_batch: int = DEFAULT_BUDGET) -> None:
        if isinstance(model, TextModel):
            raise InputError("the model is a TextModel already; give it as it is.")
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
        self.lock = RLock()  # one pass at a time, whatever threads ask
        self.embedding_path = self._embedding_path()
        self.encoder = Encoder(self.tokenizer, self.max_tokens)

    def __repr__(self) -> str:
        return f"TextModel({self.name}, {type(self.model).__name__}, {self.device})"

    @property
    def config(self) -> Any:
        """The model's own configuration."""
        return self.model.config

    @property
    def name(self) -> str:
        """The last part of the path or hub id that the model came from, or its class."""
        return Path(getattr(self.config, "_name_or_path", "") or "").name or type(self.model).__name__

    @property
    def embedding(self) -> nn.Module:
        """The module that turns ids into vectors."""
        return module_at(self.model, self.embedding_path)

    @property
    def device(self) -> torch.device:
        """Where the embeddings are; inputs are sent there and nothing else is moved."""
        return next(self.embedding.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the embeddings."""
        return next(self.embedding.parameters()).dtype

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty unless the model is a classifier."""
        if self.head in ("causal", "other"):
            return ()
        names = self.config.id2label
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(self._probe.shape[-1]))

    @property
    def max_tokens(self) -> int:
        """The most tokens the model takes."""
        return most_tokens(self.model, self.tokenizer)

    @cached_property
    def head(self) -> Head:
        """What kind of answer the model gives, told by the shape of its output and by its behaviour, not by its
        name.
        """
        probe = self._probe
        if probe.ndim == 2:
            problem = getattr(self.config, "problem_type", None)
            if problem == "multi_label_classification":
                return "multi-label"
            return "regression" if problem == "regression" or probe.shape[-1] == 1 else "single-label"
        vocabulary = self.model.get_output_embeddings()
        if probe.ndim == 3 and vocabulary is not None and not getattr(self.config, "is_encoder_decoder", False):
            return "causal" if self._looks_only_back() else "other"
        return "other"

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

    @cached_property
    def read_position(self) -> int:
        """The one position of the last block that a classifier's answer depends on: 0, or from the end.

        Raises:
            LayerError: it depends on several.
        """
        from interp_core.probing import Probe

        return Probe(self, self.blocks[-1]).read_position

    def split(self, layer: int | str) -> SplitModel:
        """The model split above a layer, to read its activations and to go on from them."""
        from interp_core.split import SplitModel

        return SplitModel(self, self.layer_path(layer))

    def forward(self, ids: Tensor, attention: Tensor) -> Any:
        """One pass over padded ids (p, t) with their attention mask; every call of the model goes through here."""
        if int(ids.max()) >= self._vocabulary:
            raise InputError(f"tokenizer and model do not fit: id {int(ids.max())}, {self._vocabulary} embeddings.")
        extra = {"use_cache": False} if "use_cache" in self._accepts else {}
        return self.model(
            input_ids=ids.to(self.device), attention_mask=attention.to(self.device).long(), return_dict=True, **extra
        )

    def embed(self, ids: Int[Tensor, " t"]) -> Float[Tensor, "t d"]:
        """The embeddings of ids, in at least 32 bits, on the model's device."""
        with self.lock, torch.no_grad(), at_rest(self.model):
            found: Tensor = self.embedding(ids[None].to(self.device))[0]
        return found.detach().to(torch.promote_types(found.dtype, torch.float32))

    @cached_property
    def mean_embedding(self) -> Float[Tensor, " d"]:
        """The mean embedding of the vocabulary."""
        count = len(self.embedding.get_parameter("weight"))
        parts = [self.embed(piece).sum(0) for piece in torch.arange(count).split(8192)]
        return torch.stack(parts).sum(0) / count

    @cached_property
    def some_embeddings(self) -> Float[Tensor, "r d"]:
        """The embeddings of up to 1,024 ids, evenly spread over the vocabulary."""
        count = len(self.embedding.get_parameter("weight"))
        return self.embed(torch.arange(0, count, max(1, count // 1024)))

    @cached_property
    def embedding_spread(self) -> float:
        """The standard deviation of a coordinate over the embeddings of the vocabulary, each about its own mean."""
        count = len(self.embedding.get_parameter("weight"))
        squares = [(self.embed(p) - self.mean_embedding).square().sum(0) for p in torch.arange(count).split(8192)]
        return float((torch.stack(squares).sum(0) / count).mean().sqrt())

    @cached_property
    def embedding_entry(self) -> TapEntry:
        """Where token features enter."""
        return TapEntry(self.model, self.embedding_path)

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
        if self.head in ("causal", "other"):
            return False
        ids, short = self.some_ids(), self.some_ids()[:, :-1]
        both = torch.cat([ids, torch.cat([short, torch.full_like(ids[:, :1], self.pad_id)], dim=1)])
        attention = torch.ones_like(both)
        attention[1, -1] = 0
        try:
            found = self._logits(both, attention)[1]
        except ValueError:
            return True
        return not torch.allclose(found.float(), self._logits(short)[0].float(), atol=1e-2, rtol=1e-2)

    def non_finite(self) -> str:
        """The weights that hold NaN or infinity, named for an error message."""
        faulty = [name for name, p in self.model.named_parameters() if not torch.isfinite(p).all()]
        return f" Its weights {', '.join(faulty[:3])} hold NaN or infinity." if faulty else ""

    @cached_property
    def _vocabulary(self) -> int:
        return len(self.embedding.get_parameter("weight"))

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    @cached_property
    def _probe(self) -> Tensor:
        """The logits of a short text."""
        return self._logits(self.some_ids())

    def _logits(self, ids: Tensor, attention: Tensor | None = None) -> Tensor:
        with self.lock, torch.no_grad(), at_rest(self.model):
            output = self.forward(ids, torch.ones_like(ids) if attention is None else attention)
        found = output.get("logits") if hasattr(output, "get") else None
        return found.cpu() if isinstance(found, Tensor) else torch.empty(0)

    def some_ids(self) -> Int[Tensor, "1 t"]:
        """A short text as ids, one row, to try the model with."""
        return self.encoder("one two three four").ids[None]

    def _looks_only_back(self) -> bool:
        ids = self.some_ids()
        other = ids.clone()
        other[0, -1] = (ids[0, -1] + 1) % max(2, len(self.tokenizer))
        return torch.allclose(self._logits(ids)[0, 0], self._logits(other)[0, 0], atol=1e-6)

    def _embedding_path(self) -> str:
        try:
            module = self.model.get_input_embeddings()
        except (AttributeError, NotImplementedError) as error:
            raise InputError(f"{type(self.model).__name__} does not say where its embeddings are.") from error
        path: str | None = next((name for name, m in self.model.named_modules() if m is module), None)
        if path is None:
            raise InputError(f"{type(self.model).__name__}.get_input_embeddings() is not one of its modules.")
        if any(p.is_meta for p in self.model.parameters()):
            raise ModelError(
                f"weights of {type(self.model).__name__} are on the 'meta' device; load them before asking."
            )
        return path
