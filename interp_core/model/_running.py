"""Options of how passes run: in autocast, and with separately compiled blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._hooks import module_at
from interp_core.model._requests import PaddedBatch
from interp_core.model._wrapped_model import WrappedModel
from torch import nn
from transformers import modeling_utils


class CompiledBlocks:
    """The compiled forwards of blocks. The blocks have them within `open` alone, and are not changed otherwise.

    A compiled module does not notice what is set on it later. So a block runs as it is written in a pass in which one
    of the modules inside of it has a hook or another forward, or in which attention is watched; hooks on the block
    itself run around the compiled one.

    Args:
        model: the model.
        paths: the blocks.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str]) -> None:
        self._blocks = [module_at(model, path) for path in paths]
        self._inside = [list(block.modules())[1:] for block in self._blocks]
        self._compiled: list[Any] = [torch.compile(block.forward, dynamic=True) for block in self._blocks]
        self._attention = _attention()

    @contextmanager
    def open(self) -> Iterator[int]:
        """A context in which blocks run compiled; gives their number. To be entered last, when all hooks are set."""
        entered = []
        if self._attention is _attention():
            for block, inside, compiled in zip(self._blocks, self._inside, self._compiled, strict=True):
                if "forward" not in vars(block) and not any(map(_is_watched, inside)):
                    vars(block)["forward"] = compiled  # __setattr__ of a module would look at its type first
                    entered.append(block)
        try:
            yield len(entered)
        finally:
            for block in entered:
                del vars(block)["forward"]


def _attention() -> Any:
    """What all attention of transformers goes through, which is exchanged while weights are watched."""
    interface = getattr(modeling_utils, "AttentionInterface", None)
    return getattr(interface, "get_interface", None)


def _is_watched(module: nn.Module) -> bool:
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return any(hooks) or "forward" in vars(module)


@contextmanager
def running(model: WrappedModel, batch: PaddedBatch, *, once: bool) -> Iterator[None]:
    """A context in which a pass runs as was asked: in autocast, compiled. To be entered last, when all hooks are set.

    Passes that keep keys and values, or go on from some, are not compiled: each length of these would be compiled anew.
    Nor are those that more than one backward pass may follow: the first may overwrite what a compiled block saved for
    it, and whether it does is not known, since PyTorch also finds such code in caches of others.

    Args:
        model: the model.
        batch: what it is to run.
        once: whether at most one backward pass follows.

    Raises:
        UnsupportedError: the model is to be compiled, and its blocks were not found.
    """
    compiles = model.compile and batch.past is None and not batch.keeps and (once or not torch.is_grad_enabled())
    compiled = _compiled(model).open() if compiles else nullcontext()
    autocast = torch.autocast(model.device.type, torch.bfloat16) if model.autocast else nullcontext()
    with compiled, autocast:
        yield


def _compiled(model: WrappedModel) -> CompiledBlocks:
    if "compiled blocks" not in model.tried:
        try:
            model.tried["compiled blocks"] = CompiledBlocks(model.model, model.blocks)
        except LayerError as error:
            raise UnsupportedError(
                f"compile=True compiles the blocks of a model, and those of {model.name} were not found: {error} Leave "
                "compile=False."
            ) from error
    compiled: CompiledBlocks = model.tried["compiled blocks"]
    return compiled
