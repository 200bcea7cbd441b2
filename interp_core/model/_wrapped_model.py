"""A user's Hugging Face model and tokenizer with what a forward pass needs; both are left unchanged."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from interp_core.errors import InputError, InterpError
from interp_core.model._blocks import blocks_of
from interp_core.model._budget import BUDGET, CPU_BUDGET, TokenSizes, free_memory, sizes_of, tokens_that_fit
from interp_core.model._embeddings import Embeddings
from interp_core.model._encoder_decoder import model_inputs, side_of, start_id
from interp_core.model._heads import CLASSIFIERS, Head, head_of
from interp_core.model._hooks import Layout, at_rest, module_at, tap
from interp_core.model._layer_path import layer_path
from interp_core.model._logits_to_scores import logits_of
from interp_core.model._module_state import undisturbed
from interp_core.model._own_positions import come_first
from interp_core.model._requests import PaddedBatch, Side
from interp_core.model._transfer import all_to_device
from interp_core.model._wrappings import check_weights, uncallable, uncompiled
from interp_core.text import Encoder, Text, max_tokens
from jaxtyping import Float, Int
from torch import Tensor, nn

OPTIONAL = ("token_type_ids", "attention_mask")  # what a model may not take; without a mask rows are not padded


class WrappedModel:
    """A model with its tokenizer, as forward passes need them; `TextModel` adds splits and layers.

    Neither is changed: the tokenizer is copied, and the model is only called.

    Args:
        model: a Hugging Face model, or any `nn.Module` that meets the contract of docs/own-model.md.
        tokenizer: the tokenizer of the model.
        tokens_per_batch: the maximum number of tokens in one pass, padding included; halved for the rest of a run
            whenever memory runs out. None for the default: 1,024 on a CPU, where more are slower; on CUDA what fits
            into the free memory, a power of two up to 65,536; elsewhere 65,536.
        autocast: `"bfloat16"` to run the matrix products of passes in this format, see `torch.autocast`; scores and
            gradients are float32, with errors of about 1 %. Trials of the model run without it. None to leave the model
            as it is.
        compile: run the blocks of the model compiled by `torch.compile` where no hook is inside them and a pass needs
            at most one gradient (one target). The first passes take longer. The model itself is not compiled.

    Attributes:
        tried: a cache for the results of trials of the model.
        embeddings: the token embeddings.
        encoder: turns a text into token ids with their character spans.
        max_tokens: the maximum number of tokens that the model accepts.

    Raises:
        InputError: the tokenizer is not one of transformers, the model does not name its embeddings,
            `tokens_per_batch` is not a whole number of at least 1, or `autocast` is another format.
        ModelError: weights are on the `meta` device.

    Examples:
        >>> from interp_core.model import WrappedModel
        >>> from interp_core.testing import planted_model
        >>> planted = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> model = WrappedModel(planted.model, planted.tokenizer)
        >>> model.logits(model.encoder("sad but happy").ids[None])
        tensor([[2., 3.]])
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        tokens_per_batch: int | None = None,
        autocast: str | None = None,
        compile: bool = False,
    ) -> None:
        if isinstance(model, WrappedModel):
            raise InputError(f"the model is a {type(model).__name__} already; pass it as it is.")
        if not isinstance(model, nn.Module):
            raise InputError(
                f"the model is {type(model).__name__}; a Hugging Face model was expected, or interp.load(path)."
            )
        model = uncompiled(model)
        if not callable(tokenizer) or not hasattr(tokenizer, "convert_ids_to_tokens"):
            raise InputError(f"the tokenizer is {type(tokenizer).__name__}; one of transformers was expected.")
        given = 1 if tokens_per_batch is None else tokens_per_batch
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise InputError(f"tokens_per_batch is {tokens_per_batch!r}; a whole number from 1 was expected.")
        if autocast not in (None, "bfloat16"):
            raise InputError(
                f"autocast is {autocast!r}; 'bfloat16' or None was expected. For another format load the model in it, "
                "such as dtype='float16'."
            )
        self.autocast, self.compile = autocast, bool(compile)
        self.model: Any = model
        self.tokenizer: Any = copy.deepcopy(tokenizer)
        self._tokens_per_batch = tokens_per_batch
        self._width = 0
        self.tried: dict[str, Any] = {}
        self.embeddings = Embeddings(model, partial(getattr, self, "layout"))
        check_weights(model)
        self.max_tokens = max_tokens(model, tokenizer)
        start = start_id(model, tokenizer) if len(self.embeddings.paths) > 1 else None
        self.encoder = Encoder(self.tokenizer, self.max_tokens, start)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: the model and the tokenizer. What was found out about the model is found out again."""
        return partial(type(self), **self._options), (self.model, self.tokenizer)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {type(self.model).__name__}, {self.device})"

    @property
    def lock(self) -> Any:
        """The lock held during each pass, so that threads take turns, whichever wrapper of the model they use."""
        return self.embeddings.lock

    @property
    def config(self) -> Any:
        """The configuration of the model, or of its first submodule that has one."""
        return next((m.config for m in self.model.modules() if getattr(m, "config", None) is not None), None)

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
        """The device of the embeddings, to which inputs are moved."""
        return self._embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the embeddings; if these are quantised to integers, that of the other weights."""
        kinds = (p.dtype for p in (self._embedding, *self.model.parameters()) if p.is_floating_point())
        return next(kinds, torch.get_default_dtype())

    @property
    def tokens_per_batch(self) -> int:
        """The maximum number of tokens in one pass, padding included."""
        return self.tokens_that_fit()

    def tokens_that_fit(self, *, gradients: bool = False) -> int:
        """Compute the maximum number of tokens in one pass, padding included.

        Args:
            gradients: whether all blocks keep their states for a backward pass, so that fewer fit into memory.

        Returns:
            `tokens_per_batch` if it was given; else 1,024 on a CPU, what fits into the free memory on CUDA, and 65,536
            elsewhere.
        """
        if self._tokens_per_batch or self.device.type == "cpu":
            return self._tokens_per_batch or CPU_BUDGET
        free = free_memory(self.model)
        return BUDGET if free is None else tokens_that_fit(free, self._token_sizes.bytes(gradients=gradients))

    @cached_property
    def _token_sizes(self) -> TokenSizes:
        table = self._embedding
        return sizes_of(self.model, self.config, table.shape[-1], self.dtype.itemsize, self.max_tokens)

    @property
    def _options(self) -> dict[str, Any]:
        """What it was made with besides model and tokenizer."""
        return {"tokens_per_batch": self._tokens_per_batch, "autocast": self.autocast, "compile": self.compile}

    @property
    def budget_asked(self) -> int | None:
        """The maximum number of tokens in one pass, or None if it depends on the memory that is free."""
        return self._tokens_per_batch or (self.tokens_per_batch if self.device.type == "cpu" else None)

    @property
    def how_it_runs(self) -> dict[str, Any]:
        """How the model is run, as results record it: `autocast` and `compile`, unless they are the defaults."""
        told = {"autocast": self.autocast, "compile": self.compile}
        return {name: value for name, value in told.items() if value}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty unless the model classifies texts."""
        return self.tags if self.head in CLASSIFIERS else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the classes; empty unless the model classifies texts or their tokens."""
        if self.head not in CLASSIFIERS | {"tokens"}:
            return ()
        names = getattr(getattr(self.model, "config", None), "id2label", None) or {}
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(self._width))

    @cached_property
    @undisturbed
    def head(self) -> Head:
        """The type of head, detected with a short text."""
        ids = self.some_ids()
        try:
            output = self._try(ids)
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
            if isinstance(error, InterpError):
                raise
            raise InputError(uncallable(self.model, ids.to(self.device), error)) from error
        logits = logits_of(output)
        if logits is not None and logits.ndim not in (2, 3):
            raise InputError(
                f"{type(self.model).__name__} gives scores of shape {tuple(logits.shape)} for one text; (texts, "
                "classes) or (texts, tokens, classes) was expected, for one score a text (texts, 1): return "
                "scores[:, None]."
            )
        if logits is not None and not logits.shape[-1]:
            raise InputError(
                f"{type(self.model).__name__} gives scores of no class: their shape is {tuple(logits.shape)}."
            )
        self._width = 0 if logits is None else logits.shape[-1]
        return head_of(output, logits, self.model, self._is_causal)

    @cached_property
    @undisturbed
    def layout(self) -> Layout:
        """The layout of hidden states, tested with a short text at the embeddings."""
        ids, first = self.some_ids(), False
        for text in (ids, ids[:, :-1]):  # some models pad to a multiple, which one of them is not
            with tap(self.model, self.embeddings.paths[0], stop=True, hidden=False) as seen:
                self._try(text)
            shape = (0, 0) if seen.value is None else tuple(seen.value.shape[:2])
            first |= text.shape[1] > 1 and shape == (text.shape[1], 1)
            if shape[0] == 1 and shape[1] > text.shape[1]:
                come_first(self)  # now, rather than in the middle of a pass
        return Layout(first, partial(come_first, self))

    @cached_property
    @undisturbed
    def blocks(self) -> tuple[str, ...]:
        """The module paths of the transformer's blocks, first to last.

        Raises:
            LayerError: the blocks were not found.
        """
        ids = self.some_ids()  # which may take a trial, whose calls would count
        return blocks_of(self.model, lambda: self._try(ids))

    def layer_path(self, layer: int | str) -> str:
        """Resolve a layer to its module path.

        Args:
            layer: the number of a block, negative from the end, or a module path.

        Returns:
            The module path.

        Raises:
            LayerError: there is no such layer, or the blocks of the model were not found.
        """
        return layer_path(self.model, layer, lambda: self.blocks)

    def with_weights(self, model: nn.Module) -> WrappedModel:
        """Wrap another model of the same architecture with the same tokenizer and batch size."""
        return type(self)(model, self.tokenizer, **self._options)

    def forward(self, ids: Tensor, attention: Tensor) -> Any:
        """Run the model on padded ids (p, t) with their attention mask (p, t); see `run`."""
        return self.run(PaddedBatch(ids, attention.bool()))

    def run(self, batch: PaddedBatch) -> Any:
        """Run the model on a batch and return its output; every call of the model goes through this method.

        Raises:
            InputError: an id is out of range for the embeddings.
        """
        ids, attention = batch.ids, batch.attention
        self.embeddings.check(ids, batch.source)
        inputs = {"input_ids": ids, "attention_mask": attention.long()}
        if self.encoder.start_id is not None and (batch.source or self.model.get_output_embeddings() is not None):
            inputs = model_inputs(batch, self.encoder.start_id)
        elif batch.types is not None:
            inputs["token_type_ids"] = batch.types
        options = {"use_cache": batch.keeps, "return_dict": True}
        extra = {name: value for name, value in options.items() if name in self._accepts}
        if batch.past is not None:
            before = attention.new_ones(len(ids), batch.past.get_seq_length())
            inputs["attention_mask"] = torch.cat([before, attention], dim=1).long()
            extra["past_key_values"] = batch.past
        refused = self.tried.get("refused", frozenset())
        on_device = all_to_device({name: v for name, v in inputs.items() if name not in refused}, self.device)
        try:
            return self.model(**on_device, **extra)
        except AssertionError as error:
            raise InputError(f"{type(self.model).__name__} refuses this input: {error}") from error
        except TypeError as error:  # before any module has run; a signature with **kwargs does not tell
            named = next((name for name in OPTIONAL if name in on_device and f"'{name}'" in str(error)), None)
            if named is None:
                raise
        self.tried["refused"] = refused | {named}
        return self.run(batch)

    def side_of(self, path: str) -> Side:
        """Say which tokens a module processes: those of one side of an encoder-decoder model, otherwise all."""
        both = self.encoder.start_id is None or path in self.embeddings.paths
        return "both" if both else side_of(self.model, path)

    def embed(self, ids: Int[Tensor, " t"], source: int = 0) -> Float[Tensor, "t d"]:
        """Embed token ids.

        Args:
            ids: (t) the token ids.
            source: the number of ids that the encoder reads; 0 for models with one stack.

        Returns:
            (t, d) the embeddings, in at least 32 bits, on the model's device.

        Raises:
            InputError: an id is out of range for the embeddings.
        """
        return self.embeddings(ids, source)

    @cached_property
    def pad_id(self) -> int:
        """The id that pads short rows, hidden by the mask: the padding id of the model, else of the tokenizer, else 0.

        Ids out of range for the embeddings are skipped.
        """
        count = min(len(module_at(self.model, path).get_parameter("weight")) for path in self.embeddings.paths)
        for owner in (self.config, self.tokenizer):
            pad_id = getattr(owner, "pad_token_id", None)
            if isinstance(pad_id, int) and 0 <= pad_id < count:
                return pad_id
        return 0

    def non_finite(self) -> str:
        """Name the weights with NaN or infinity in a sentence for error messages; empty if there are none."""
        faulty = [name for name, p in self.model.named_parameters() if not torch.isfinite(p).all()]
        return f" Its weights {', '.join(faulty[:3])} hold NaN or infinity." if faulty else ""

    @cached_property
    def _accepts(self) -> frozenset[str]:
        parameters = inspect.signature(self.model.forward).parameters
        passes_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        return frozenset({*parameters, *({"return_dict"} if passes_on else ())})

    def _try(self, ids: Tensor, attention: Tensor | None = None) -> Any:
        with self.lock, torch.no_grad(), at_rest(self.model):
            return self.forward(ids, torch.ones_like(ids) if attention is None else attention)

    def logits(self, ids: Tensor, attention: Tensor | None = None) -> Tensor:
        """Compute the logits for token ids.

        Args:
            ids: (p, t) the token ids.
            attention: (p, t) True for the tokens that the model sees; all by default.

        Returns:
            The logits, on the CPU; empty for a model without logits.

        Raises:
            InputError: an id is out of range for the embeddings.
        """
        logits = logits_of(self._try(ids, attention))
        return torch.empty(0) if logits is None else logits.cpu()

    def some_ids(self) -> Int[Tensor, "1 t"]:
        """Give the ids of a short text, for trials of the model."""
        return self.encoder(self.probe("one two three four")).ids[None]

    def probe(self, text: str) -> Text:
        """Turn a text into one for trials of the model: a pair for an extractor that accepts nothing else."""
        if "takes pairs" not in self.tried:
            self.tried["takes pairs"] = False  # until it is known
            self.tried["takes pairs"] = self._takes_pairs_only()
        first, _, second = text.partition(" ")
        return (first, second) if self.tried["takes pairs"] else text

    def _takes_pairs_only(self) -> bool:
        """Whether the model refuses a text and takes a pair; Longformer counts separators to find the question."""
        try:
            self._try(self.encoder("one two").ids[None])
        except ValueError:
            try:
                self._try(self.encoder(("one", "two")).ids[None])
            except Exception:  # what is wrong with the text is said where it is used
                return False
            return True
        except Exception:
            return False
        return False

    def _is_causal(self) -> bool:
        """Whether no token of the first half sees one of the second, the nearest included."""
        ids = self.some_ids()
        half, other = ids.shape[1] // 2, ids.clone()
        other[0, half:] = (ids[0, half:] + 1) % max(2, min(len(self.tokenizer), self.embeddings.count))
        return torch.allclose(self.logits(ids)[0, :half], self.logits(other)[0, :half], atol=1e-6)
