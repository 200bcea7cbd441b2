"""A test whether gradients pass through a model, on a short text, since some modules are not differentiable."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from interp_core.errors import UnsupportedError
from interp_core.model._hooks import at_rest
from interp_core.model._requests import PaddedBatch
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor


def gradients_end_at(model: WrappedModel) -> str | None:
    """The path of the first module whose output depends on its input without a gradient; None if there is none."""
    try:
        return _first_end(model)
    except (RuntimeError, NotImplementedError, UnsupportedError):
        return None  # it takes no gradients at all, which a method that asks is told then


def _first_end(model: WrappedModel) -> str | None:
    ids, source = model.encoder(model.probe("one two three four")).ids, 0
    if model.encoder.start_id is not None and model.model.get_output_embeddings() is not None:
        source, ids = len(ids), torch.cat([ids, torch.tensor([model.encoder.start_id]), ids[:2]])
    values = model.embed(ids, source)[None].to(model.dtype)
    batch = PaddedBatch(ids[None], torch.ones(1, len(ids), dtype=torch.bool), source=source)
    found = _without_gradient(model, batch, values)
    if not found:
        return None
    again = _without_gradient(model, batch, values.flip(-1) + values)
    changed = (path for path, output in found.items() if path in again and not torch.equal(output, again[path]))
    return next(changed, None)


def _without_gradient(model: WrappedModel, batch: PaddedBatch, values: Tensor) -> dict[str, Tensor]:
    """The outputs of modules, innermost first, that have no gradient with respect to an input that has one."""
    found: dict[str, Tensor] = {}

    def look(path: str, inputs: tuple[Any, ...], output: Any) -> None:
        given = next((x for x in inputs if isinstance(x, Tensor) and x.requires_grad), None)
        result = output[0] if isinstance(output, tuple | list) and output else output
        if given is None or not isinstance(result, Tensor) or not result.is_floating_point() or path in found:
            return
        slope = None
        if result.requires_grad:
            (slope,) = torch.autograd.grad(result.sum(), given, retain_graph=True, allow_unused=True)
        if slope is None:
            found[path] = result.detach()

    with ExitStack() as stack:
        for context in (model.lock, torch.inference_mode(False), torch.enable_grad(), at_rest(model.model)):
            stack.enter_context(context)
        stack.enter_context(model.embeddings.injection.open(values.clone().requires_grad_()))
        for path, module in model.model.named_modules():
            hook = module.register_forward_hook(lambda _m, given, out, path=path: look(path, given, out))
            stack.callback(hook.remove)
        model.run(batch)
    return found
