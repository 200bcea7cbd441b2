"""Attention weights, observed and replaced during a pass, for any attention implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._module_state import calling_here
from interp_core.model._rounding import agree, rounding
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor

# Called with the number of the layer, its attention weights (p, h, t, s) and values (p, h, s, e); returns replacements
# of both, or None to leave them as they are.
SeesAttention = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor] | None]
_one_at_a_time = threading.RLock()


def check_release() -> None:
    """Refuse releases of transformers in which not all attention goes through one function.

    Raises:
        UnsupportedError: this is one of them.
    """
    from transformers import __version__, modeling_utils

    if not hasattr(getattr(modeling_utils, "AttentionInterface", None), "get_interface"):
        raise UnsupportedError(
            f"attention can only be observed with transformers 5 or newer, and {__version__} is installed; install a "
            "newer one."
        )


@contextmanager
def attending(see: SeesAttention) -> Iterator[None]:
    """A context in which `see` is called with every attention of this thread's passes and may replace it.

    Attention is linear in its values, so that any implementation returns its weights when the values are the identity.

    Raises:
        UnsupportedError: this version of transformers has no single function that all attention goes through.
    """
    from transformers.modeling_utils import AttentionInterface

    check_release()
    original = AttentionInterface.get_interface
    meant, count = calling_here(), [0]

    def get_interface(self: Any, name: Any, default: Any) -> Any:
        compute = original(self, name, default)
        if not meant():
            return compute

        def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
            weights = _weights(compute, module, (query, key, value), args, kwargs)  # (p, h, t, s)
            values = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)  # one for each query head
            replacements = see(count[0], weights, values)
            count[0] += 1
            weights, values = (weights, values) if replacements is None else replacements
            return (weights.to(values) @ values).transpose(1, 2).contiguous(), None

        return attend

    with _one_at_a_time:
        AttentionInterface.get_interface = get_interface  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            AttentionInterface.get_interface = original  # type: ignore[method-assign]


def _weights(compute: Any, module: Any, states: tuple[Tensor, Tensor, Tensor], args: Any, kwargs: Any) -> Tensor:
    query, key, value = states
    length = key.shape[2]
    identity = torch.eye(length, dtype=value.dtype, device=value.device).expand(*value.shape[:2], length, length)
    weights: Tensor = compute(module, query, key, identity, *args, **kwargs)[0]  # (p, t, h, s)
    return weights.transpose(1, 2)


def attends(model: WrappedModel) -> bool:
    """Whether the attention of each block can be observed without changing the logits, tested on a short text."""
    return not why_unseen(model)


def why_unseen(model: WrappedModel) -> str:
    """Why the attention of a model cannot be observed, as a clause for messages; empty if it can. Tried once."""
    if "attention" not in model.tried:
        model.tried["attention"] = _why_unseen(model)
    return str(model.tried["attention"])


def _why_unseen(model: WrappedModel) -> str:
    if model.encoder.start_id is not None:
        return "it has two stacks, and in each block of the second one attention of two kinds"
    seen: list[int] = []
    ids = model.some_ids()
    try:
        check_release()
        blocks = len(model.blocks)
        plain = model.logits(ids)
        with model.lock, attending(lambda number, _w, _v: seen.append(number)):  # the same order of locks as in `run`
            observed = model.logits(ids)
    except UnsupportedError:
        return "this release of transformers offers no way to see it"
    except LayerError:
        return "its blocks were not found"
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        return f"looking at it raises {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not seen:
        return "it computes attention by itself, not through the attention interface of transformers"
    if len(seen) != blocks:
        return f"{len(seen)} attention layers ran in its {blocks} blocks, and one in each was expected"
    if not agree(plain, observed, rounding(model.model)):
        return "its logits change when attention is computed from weights, so that more goes in than weights and values"
    return ""
