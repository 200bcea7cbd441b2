"""The token embeddings of a model and their statistics over the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from interp_core.errors import InputError
from interp_core.model._hooks import Layout, at_rest, hidden_of, module_at, stacks_of
from interp_core.model._injection import EmbeddingsInjection, EncoderDecoderInjection
from interp_core.model._module_state import lock_of, undisturbed
from jaxtyping import Float, Int
from torch import Tensor, nn

AT_A_TIME = 8192
SOME = 1024


class Embeddings:
    """The token embeddings of a model.

    Args:
        model: the Hugging Face model.
        layout: tells how it lays out hidden states.

    Attributes:
        paths: the module of the embeddings, or those of encoder and decoder, which may be the same.

    Raises:
        InputError: the model does not name its embeddings.
    """

    def __init__(self, model: nn.Module, layout: Callable[[], Layout]) -> None:
        self.model, self._layout = model, layout
        self.paths = tuple(self._path(owner) for owner in stacks_of(model))

    @property
    def module(self) -> nn.Module:
        """The embeddings of the text; for an encoder-decoder model those of the encoder."""
        return module_at(self.model, self.paths[0])

    @property
    def lock(self) -> Any:
        """Held during each pass. It goes by the embeddings, which all heads and wrappers around one body share."""
        return lock_of(self.module)

    @property
    def count(self) -> int:
        """The number of ids."""
        return len(self.module.get_parameter("weight"))

    def check(self, ids: Int[Tensor, "*p t"], source: int = 0) -> None:
        """Refuse ids that have no embedding.

        Args:
            ids: the token ids.
            source: the number of them that the encoder reads; 0 without a decoder.

        Raises:
            InputError: an id is beyond the table that it is looked up in.
        """
        border = source or ids.shape[-1]
        for path, part in ((self.paths[0], ids[..., :border]), (self.paths[-1], ids[..., border:])):
            count = len(module_at(self.model, path).get_parameter("weight"))
            if part.numel() and int(part.max()) >= count:
                raise InputError(
                    f"the tokenizer gives id {int(part.max())}, but the model has {count} embeddings; load "
                    "the tokenizer of this model, or resize the model's embeddings for tokens that were added."
                )

    def __call__(self, ids: Int[Tensor, " t"], source: int = 0) -> Float[Tensor, "t d"]:
        """The embeddings of ids, in at least 32 bits, on the model's device.

        Args:
            ids: the token ids.
            source: the number of them that the encoder reads; 0 without a decoder.

        Raises:
            InputError: an id is beyond the table that it is looked up in.
        """
        self.check(ids, source)
        border = source or len(ids)
        parts = [p for p in (ids[:border], ids[border:]) if len(p)]
        modules = [module_at(self.model, path) for path in (self.paths[0], self.paths[-1])][: len(parts)]
        vectors = torch.cat([self._looked_up(*both) for both in zip(modules, parts, strict=True)])
        return vectors.to(torch.promote_types(vectors.dtype, torch.float32))

    def _looked_up(self, module: nn.Module, ids: Int[Tensor, " t"]) -> Float[Tensor, "t d"]:
        if _is_table(module):
            weight = module.get_parameter("weight").detach()
            return weight[ids.to(weight.device)]
        with self.lock, torch.no_grad(), at_rest(module):  # the rest of the model does not run
            device = next(module.parameters()).device
            return hidden_of(module(ids[None].to(device)), "embeddings")[0].detach()

    @cached_property
    @undisturbed
    def mean(self) -> Float[Tensor, " d"]:
        """The mean embedding of the vocabulary."""
        parts = [self(piece).sum(0) for piece in torch.arange(self.count).split(AT_A_TIME)]
        return torch.stack(parts).sum(0) / self.count

    @cached_property
    @undisturbed
    def spread(self) -> float:
        """The standard deviation over the vocabulary, pooled over coordinates, each about its own mean."""
        pieces = torch.arange(self.count).split(AT_A_TIME)
        squares = torch.stack([(self(piece) - self.mean).square().sum(0) for piece in pieces])
        return float((squares.sum(0) / self.count).mean().sqrt())

    @cached_property
    @undisturbed
    def some(self) -> Float[Tensor, "r d"]:
        """The embeddings of about a thousand ids, evenly spread over the vocabulary."""
        return self(torch.arange(0, self.count, max(1, self.count // SOME)))

    @cached_property
    def injection(self) -> EmbeddingsInjection | EncoderDecoderInjection:
        """Where token features enter the model."""
        if len(self.paths) == 1:
            return EmbeddingsInjection(self.model, self.paths[0], self._layout())
        return EncoderDecoderInjection(self.model, (self.paths[0], self.paths[1]), self._layout())

    def _path(self, owner: Any) -> str:
        named = type(self.model).__name__
        try:
            module = owner.get_input_embeddings()
        except (AttributeError, NotImplementedError) as error:
            inner = getattr(self.model, "module", None)
            what = (
                "pass the model that it wraps, its .module"
                if isinstance(inner, nn.Module)
                else (
                    "add def get_input_embeddings(self), which returns the module that maps ids to vectors; see "
                    "docs/own-model.md"
                )
            )
            raise InputError(f"{named} does not name its embeddings (get_input_embeddings); {what}.") from error
        paths: list[str] = [name for name, m in self.model.named_modules() if m is module]
        if not paths:
            raise InputError(f"{named}.get_input_embeddings() is not one of its modules.")
        # of several modules around one table (T5's encoder alone), the one inside of the stack is called
        table = getattr(module, "weight", None)
        paths += [n for n, m in self.model.named_modules() if isinstance(m, nn.Embedding) and m.weight is table]
        innermost: str = max(paths, key=lambda name: name.count("."))
        return innermost


def _is_table(module: nn.Module) -> bool:
    """Whether a module gives the rows of its weight as they are: torch's own embeddings, without hooks."""
    hooks = module._forward_hooks, module._forward_pre_hooks
    return type(module) is nn.Embedding and module.max_norm is None and not any(hooks)
