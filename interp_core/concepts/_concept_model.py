"""Which words light a concept: a model whose answers are the activities of concepts, explained like any other."""

from __future__ import annotations

import copy
from typing import Any

import torch
from interp_core.concepts._compatibility import check_space
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError
from interp_core.model import Head, PaddedBatch, SplitModel, TextModel, tap
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

OVER = ("max", "mean", "sum", "first", "last", "cls")


class ConceptModel(TextModel):
    """The lower part of a model with a space of concepts on it: for a text it gives how active each concept is.

    It is explained as a regression with one output a concept, by any attribution method and measured by any metric:
    `attribute(ConceptModel(split, space), texts, by="lime", targets=[3, 7])`. The pass stops at the layer of the space,
    and slopes flow through its encoder. The targets are concepts, by number or name; without any, the most active one.

    Args:
        split: the model, split at the layer of the space; of any task, one stack.
        space: the concepts.
        over: how the activities at the tokens of a text become one: `"max"`, `"mean"` or `"sum"` over the tokens that
            the tokenizer did not add, `"first"` or `"last"` of them, or `"cls"`: at the position that the classifier
            reads. Default: `"cls"` for a space learnt from such rows, else `"max"`.

    A space learnt from words (means over their tokens) is read at each token here.

    Raises:
        InputError: the space is of another layer, model or width, or `over` is unknown.
    """

    def __init__(self, split: SplitModel, space: ConceptSpace, *, over: str | None = None) -> None:
        check_space(split, space)
        base = split.model
        super().__init__(base.model, base.tokenizer, tokens_per_batch=base.tokens_per_batch)
        self.lock, self.embeddings = base.lock, base.embeddings
        rows = space.made_by.settings.get("granularity")
        self.over = over or ("cls" if rows == "cls" else "max")
        if self.over not in OVER:
            raise InputError(f"over {over!r} is unknown; it is one of {', '.join(OVER)}.")
        self.split_at, self.space = split, copy.deepcopy(space).to(self.device)
        own = (getattr(base.tokenizer, "mask_token_id", None), getattr(base.tokenizer, "unk_token_id", None))
        self._added = torch.tensor([i for i in base.tokenizer.all_special_ids if i not in own], dtype=torch.long)

    @property
    def name(self) -> str:
        """The model and the layer."""
        return f"{super().name}, concepts at {self.split_at.path}"

    @property
    def head(self) -> Head:
        """Numbers without a scale."""
        return "regression"

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the concepts."""
        return tuple(self.space.names)

    def with_weights(self, model: nn.Module) -> ConceptModel:
        """The same concepts read from other weights."""
        base = TextModel(model, self.tokenizer, tokens_per_batch=self.tokens_per_batch)
        return type(self)(base.split(self.split_at.path), self.space, over=self.over)

    def run(self, batch: PaddedBatch) -> Any:
        """One pass over padded rows, up to the layer; its logits are the activities (p, c)."""
        with tap(self.model, self.split_at.path, stop=True) as seen:
            super().run(batch)
        hidden = seen.read()
        if self.over == "cls":
            length = (torch.arange(batch.attention.shape[1]) * batch.attention).argmax(1) + 1
            where = torch.tensor([self.split_at.position(int(n)) for n in length], device=hidden.device)
            return ModelOutput(logits=self.space.encode(_at(hidden, where).float()))
        counted = batch.attention & ~torch.isin(batch.ids, self._added)
        counted = torch.where(counted.any(1, keepdim=True), counted, batch.attention).to(hidden.device)
        if self.over in ("first", "last"):
            places = torch.arange(counted.shape[1], device=hidden.device) * counted
            last = places.argmax(1) if self.over == "last" else counted.int().argmax(1)
            return ModelOutput(logits=self.space.encode(_at(hidden, last).float()))
        p, t, _ = hidden.shape
        codes = self.space.encode(hidden.float().flatten(0, 1)).reshape(p, t, -1)
        return ModelOutput(logits=_pooled(codes, counted, self.over))


def _at(hidden: Float[Tensor, "p t d"], where: Tensor) -> Float[Tensor, "p d"]:
    return hidden[torch.arange(len(hidden), device=hidden.device), where]


def _pooled(codes: Float[Tensor, "p t c"], counted: Bool[Tensor, "p t"], over: str) -> Float[Tensor, "p c"]:
    inside = counted[:, :, None]
    if over == "max":
        return codes.masked_fill(~inside, -torch.inf).amax(1)
    total = codes.masked_fill(~inside, 0).sum(1)
    return total if over == "sum" else total / inside.sum(1)
