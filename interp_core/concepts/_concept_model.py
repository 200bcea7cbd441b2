"""Models whose outputs are codes of concepts, to explain which words activate a concept."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from interp_core.concepts._compatibility import check_space
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import InputError, UnsupportedError, unknown
from interp_core.model import Head, PaddedBatch, SplitModel, TextModel, tap
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

OVER = ("max", "mean", "sum", "first", "last", "cls")


class ConceptModel(TextModel):
    """The lower part of a model with the encoder of a concept space on top; its outputs are the codes of concepts.

    It behaves as a regression model, so any attribution method can explain which words activate a concept, and any
    attribution metric can be applied. The pass stops at the layer of the space, and gradients flow through the
    encoder. Targets are concepts, by number or name; by default, the most active concept of each text.

    The space is applied to the state of each token, even if it was learnt from larger units such as words.

    Args:
        split: the model, split at the layer of the space; any head, but not an encoder-decoder model.
        space: the concepts.
        over: how the codes at the tokens of a text are combined. `"max"`, `"mean"` and `"sum"` cover all tokens but the
            special ones that the tokenizer adds, `"first"` and `"last"` take one of these, and `"cls"` takes the
            position that the classifier reads. The default is `"cls"` or `"last"` for a space learnt from such rows,
            otherwise `"max"`.

    Raises:
        InputError: the space belongs to another layer, model or width, or `over` is unknown.
        LayerError: `over` is `"cls"`, and no single token stands for the text, as in a generator.
        UnsupportedError: the model is an encoder-decoder model.

    Examples:
        Hidden states have two coordinates here, and the space reads the first one as "joy".

        >>> from interp_core.concepts import AffineSpace, ConceptModel
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))
        >>> space.names = ["joy", "grief"]
        >>> concepts = ConceptModel(model.split("words"), space)
        >>> [result] = interp.attribute(concepts, ["so happy today"], by="occlusion", targets=["joy"], progress=False)
        >>> [(unit.text, score) for unit, score in zip(result.units, result.scores[0].tolist())]
        [('so', 0.0), ('happy', 2.0), ('today', 0.0)]
    """

    def __init__(self, split: SplitModel, space: ConceptSpace, *, over: str | None = None) -> None:
        check_space(split, space)
        base = split.model
        if base.encoder.start_id is not None:
            raise UnsupportedError(
                f"{base.name} has an encoder and a decoder, which a model of concepts cannot have; load the encoder "
                "alone, or find the texts in which a concept is active with interp.interpret."
            )
        super().__init__(base.model, base.tokenizer, tokens_per_batch=base._tokens_per_batch, autocast=base.autocast)
        self.embeddings = base.embeddings
        rows = space.made_by.settings.get("granularity")
        self.over = over or (rows if rows in ("cls", "last") else "max")
        if self.over not in OVER:
            raise InputError(unknown("over", over, OVER))
        if self.over == "cls":
            split.position(2)  # raises where no single token stands for the text
        self.split_at, self.space = split, copy.deepcopy(space).to(self.device)
        own = (getattr(base.tokenizer, "mask_token_id", None), getattr(base.tokenizer, "unk_token_id", None))
        self._added = torch.tensor([i for i in base.tokenizer.all_special_ids if i not in own], dtype=torch.long)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: the split model and the space."""
        return partial(type(self), over=self.over), (self.split_at, self.space)

    @property
    def name(self) -> str:
        """The name of the model and the layer."""
        return f"{super().name}, concepts at {self.split_at.path}"

    @property
    def head(self) -> Head:
        """The type of the head, `"regression"`: the outputs are not logits of classes."""
        return "regression"

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the concepts."""
        return tuple(self.space.names)

    def with_weights(self, model: nn.Module) -> ConceptModel:
        """Apply the same concepts to other weights.

        Args:
            model: a model of the same architecture.

        Returns:
            A `ConceptModel` of that model, split at the same layer.

        Raises:
            InputError: the name of `model` differs from that of the model the space was learnt from.
        """
        base = TextModel(model, self.tokenizer, tokens_per_batch=self._tokens_per_batch, autocast=self.autocast)
        return type(self)(base.split(self.split_at.path), self.space, over=self.over)

    def run(self, batch: PaddedBatch) -> Any:
        """Run one pass over padded rows, up to the layer.

        Args:
            batch: the rows.

        Returns:
            A model output whose logits are the codes of the concepts (p, c).
        """
        with tap(self.model, self.split_at.path, stop=True, layout=self.split_at.model.layout) as seen:
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
