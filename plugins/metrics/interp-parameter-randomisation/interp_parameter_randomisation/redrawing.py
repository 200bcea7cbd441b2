"""A model without what it has learnt: weights drawn anew, from the top."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from interp_core.errors import UnsupportedError
from interp_core.model import WrappedModel
from torch import Tensor, nn


def drawn_anew(model: WrappedModel, share: float, seed: int) -> WrappedModel:
    """The model with the weights of its top layers drawn anew. It is not touched: the copy holds new weights there and
    looks at the same memory everywhere else.

    Args:
        model: the model.
        share: of the layers, counted from the top; rounded up. A layer is a module with weights of its own.
        seed: of the weights. A larger share has the same new weights as a smaller one, and more of them.

    Raises:
        UnsupportedError: weights that are whole numbers.
    """
    whole = next((name for name, p in model.model.named_parameters() if not p.is_floating_point()), None)
    if whole is not None:
        raise UnsupportedError(
            f"the weights {whole!r} are whole numbers and cannot be drawn anew; load the model in float."
        )
    with model.lock:  # so that no hook of another text's pass is copied
        seen = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.model.parameters()}
        module = copy.deepcopy(model.model, seen)
    found = model.with_weights(module)
    generator = torch.Generator().manual_seed(seed)
    layers = layers_from_the_top(found)
    for path in layers[: max(1, math.ceil(share * len(layers) - 1e-9))]:
        layer = module.get_submodule(path)
        for name, weight in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, nn.Parameter(redrawn(weight, generator), requires_grad=False))
    return found


def layers_from_the_top(model: WrappedModel) -> list[str]:
    """The paths of the modules with weights of their own, those that finish last in a pass first.

    One that others use without calling it stands where the module around it stands; one that runs several times where
    it first does. Those above a layer at which the pass ends have no part in the answer, and none here.
    """
    finished: dict[str, int] = {}

    def note(path: str) -> Callable[..., None]:
        return lambda *_: finished.update({path: finished.get(path, len(finished))})

    hooks = [module.register_forward_hook(note(path)) for path, module in model.model.named_modules()]
    model.logits(model.some_ids())
    for hook in hooks:
        hook.remove()

    def place(path: str) -> int:
        while path and path not in finished:
            path = path.rpartition(".")[0]
        return finished.get(path, -1)

    holding = [
        path for path, module in model.model.named_modules() if next(module.parameters(recurse=False), None) is not None
    ]
    return sorted((path for path in holding if place(path) >= 0), key=place, reverse=True)


def redrawn(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers with the mean and standard deviation of the weight, of its shape and kind."""
    values = weight.detach().float().cpu()
    drawn = values.mean() + values.std(correction=0) * torch.randn(values.shape, generator=generator)
    return drawn.to(weight)
