"""The relation of a module's output to the residual stream, tested by fixing or changing it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Literal

import torch
from interp_core.errors import LayerError
from interp_core.model._hooks import at_rest, hidden_of, module_at, repack
from interp_core.model._layer_capabilities import LayerCapabilities
from interp_core.model._rounding import agree, rounding
from torch import Tensor, nn

Role = Literal["stream", "added", "inside", "outside"]
SAID: dict[Role, str] = {
    "stream": "its output is the residual stream: it includes what came in, so a change of it changes all that goes on",
    "added": "its output is added to the residual stream, which goes on beside it",
    "inside": "its output is used inside the block and is not a part of the residual stream as it is",
    "outside": "it is in none of the blocks, so nothing is known of a residual stream at it",
}


def role_in_stream(layer: LayerCapabilities) -> Role:
    """What the output of a module is to the residual stream of its block, tried on a short text.

    The output is held at its value while the block gets another input. If the block then gives the same, all that goes
    on passes through the module: it is the stream. Otherwise it is added to the stream if a step of its output moves
    the output of the block by that step, or moves it as the same step of the input of the block does.

    Raises:
        LayerError: the block runs several times in a pass.
    """
    path, model = layer.path, layer.model
    try:
        blocks = model.blocks
    except LayerError:
        return "outside"
    if path in blocks:
        return "stream"
    block = next((b for b in blocks if path.startswith(f"{b.partition('@')[0]}.")), None)
    if block is None:
        return "outside"
    if "@" in block:
        raise LayerError(
            f"the block of {path!r} runs several times in a pass, so what a module in it gives is not tried."
        )
    plain = _run(layer, block)
    own, out = plain
    if own.shape != out.shape:
        return "inside"
    noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(0))
    step = noise.to(own) * own.std()
    share = rounding(model.model)
    held = _run(layer, block, entering=step, value=own)[1]
    if agree(held, out, share):
        return "stream"
    moved = _run(layer, block, value=own + step)[1]
    return "added" if agree(moved - out, step, 10 * share) or agree(held, moved, share) else "inside"


def _run(
    layer: LayerCapabilities, block: str, entering: Tensor | None = None, value: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The outputs of the module and of its block, with a step added to what enters the block, or another output."""
    model, seen = layer.model, {}
    ids = model.some_ids()

    def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (args[0] + entering, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + entering}

    def read(name: str, replacement: Tensor | None) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            seen[name] = hidden_of(output, name) if replacement is None else replacement
            return output if replacement is None else repack(output, replacement)

        return hook

    whole = module_at(model.model, block)
    with ExitStack() as stack:
        stack.enter_context(model.lock)
        stack.enter_context(torch.no_grad())
        stack.enter_context(at_rest(model.model))
        if entering is not None:
            stack.callback(whole.register_forward_pre_hook(enter, with_kwargs=True).remove)
        stack.callback(module_at(model.model, layer.path).register_forward_hook(read("own", value)).remove)
        stack.callback(whole.register_forward_hook(read("block", None)).remove)
        model.forward(ids, torch.ones_like(ids))
    return seen["own"], seen["block"]
