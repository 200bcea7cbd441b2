"""Attention weights, seen and exchanged while the model runs, whatever computes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor

# Called with the number of the layer, its attention weights (p, h, t, s) and values (p, h, s, e); returns both, as they
# are to be, or None to leave them.
SeesAttention = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor] | None]
_one_at_a_time = threading.RLock()


@contextmanager
def attending(see: SeesAttention) -> Iterator[None]:
    """Within it every attention of this thread's passes is shown to `see`, which may exchange weights and values.

    The weights are found whatever computes the attention: it is linear in the values, so that given the identity as
    values it returns its weights.

    Raises:
        UnsupportedError: this version of transformers has no single door that all attention passes through.
    """
    from transformers.modeling_utils import AttentionInterface

    door = getattr(AttentionInterface, "get_interface", None)
    if door is None:
        raise UnsupportedError("attention can be observed with transformers 5 or newer; install it.")
    caller, count = threading.get_ident(), [0]

    def get_interface(self: Any, name: Any, default: Any) -> Any:
        own = door(self, name, default)
        if threading.get_ident() != caller:
            return own

        def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
            weights = _weights(own, module, (query, key, value), args, kwargs)  # (p, h, t, s)
            spread = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
            found = see(count[0], weights, spread)
            count[0] += 1
            weights, spread = (weights, spread) if found is None else found
            return (weights.to(spread) @ spread).transpose(1, 2).contiguous(), None

        return attend

    with _one_at_a_time:
        AttentionInterface.get_interface = get_interface  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            AttentionInterface.get_interface = door  # type: ignore[method-assign]


def _weights(own: Any, module: Any, states: tuple[Tensor, Tensor, Tensor], args: Any, kwargs: Any) -> Tensor:
    query, key, value = states
    length = key.shape[2]
    identity = torch.eye(length, dtype=value.dtype, device=value.device).expand(*value.shape[:2], length, length)
    weights: Tensor = own(module, query, key, identity, *args, **kwargs)[0]  # (p, t, h, s)
    return weights.transpose(1, 2)


def attends(model: WrappedModel) -> bool:
    """Whether the attention of each block can be seen, and the pass is unchanged by looking: tried on a short text."""
    if "attention" not in model.tried:
        model.tried["attention"] = _attends(model)
    return bool(model.tried["attention"])


def _attends(model: WrappedModel) -> bool:
    seen: list[int] = []
    ids = model.some_ids()
    if model.encoder.start_id is not None:
        return False
    try:
        plain = model.logits(ids)
        with model.lock, attending(lambda number, _w, _v: seen.append(number)):  # in the order of `run`
            watched = model.logits(ids)
        return len(seen) == len(model.blocks) and torch.allclose(plain, watched, atol=1e-4, rtol=1e-3)
    except (LayerError, UnsupportedError, RuntimeError, TypeError, ImportError):
        return False
