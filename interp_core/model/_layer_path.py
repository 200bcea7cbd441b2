"""Resolution of a layer, given as the number of a block or a module path, to its module path."""

from __future__ import annotations

import re
from collections.abc import Callable
from numbers import Integral

from interp_core.errors import LayerError
from interp_core.model._hooks import module_at
from torch import nn

TRANSFORMER_LENS = re.compile(r"blocks\.(\d+)\.hook_resid_(pre|post)")


def layer_path(model: nn.Module, layer: int | str, blocks_of: Callable[[], tuple[str, ...]]) -> str:
    """The module path of a layer.

    Args:
        model: the model.
        layer: the number of a block, negative from the end, or a module path.
        blocks_of: finds the paths of the blocks.

    Raises:
        LayerError: there is no such layer, or the blocks of the model were not found.
    """
    if isinstance(layer, str):
        hook = TRANSFORMER_LENS.fullmatch(layer)
        block = int(hook[1]) - (hook[2] == "pre") if hook else -1
        if 0 <= block < len(blocks_of()):
            raise LayerError(f"{layer!r} is a hook of TransformerLens; here it is layer {block}.")
        module_at(model, layer)
        return layer
    if isinstance(layer, nn.Module):
        paths = [path for path, module in model.named_modules() if module is layer]
        where = f"give its path, {paths[0]!r}" if paths else "it is no part of this model"
        raise LayerError(f"layer is a {type(layer).__name__}; {where}.")
    if isinstance(layer, bool) or not isinstance(layer, Integral):
        raise LayerError(f"layer is {layer!r}; the number of a block or a module path was expected.")
    if not -len(blocks_of()) <= layer < len(blocks_of()):
        last = len(blocks_of()) - 1
        raise LayerError(f"layer {layer} is out of range: this model has {last + 1} blocks, 0 to {last}.")
    return blocks_of()[int(layer)]
