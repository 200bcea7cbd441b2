"""Wrappers around a model, such as those of compilers and offloading: undone where that is safe, else reported."""

from __future__ import annotations

import torch
from interp_core.errors import ModelError
from interp_core.model._hooks import at_rest
from torch import Tensor, nn


def uncompiled(model: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given; it shares all weights with the compiled one, and its hooks run."""
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def check_weights(model: nn.Module) -> None:
    """Refuse models whose weights are not there.

    Raises:
        ModelError: weights are on the `meta` device.
    """
    if not any(p.is_meta for p in model.parameters()):
        return
    name = type(model).__name__
    if any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ModelError(
            f"accelerate offloads weights of {name}, which are on the 'meta' device between passes. Load it whole, "
            "without device_map='auto', or take the offloading off with "
            "accelerate.hooks.remove_hook_from_module(model, recurse=True)."
        )
    raise ModelError(f"weights of {name} are on the 'meta' device; load them first.")


def uncallable(model: nn.Module, ids: Tensor, error: Exception) -> str:
    """Why a model cannot be called with ids (1, t) and their attention mask, as an error message."""
    name, said = type(model).__name__, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    try:
        with torch.no_grad(), at_rest(model):
            model(input_ids=ids[:, None], attention_mask=torch.ones_like(ids[:, None]))
    except Exception:  # of somebody else's forward; any of them says that this is not the cause
        return (
            f"{name} cannot be called as model(input_ids=…, attention_mask=…) with ids of shape {tuple(ids.shape)}: "
            f"{said}. What a model must offer stands in docs/own-model.md."
        )
    return (
        f"{name} chooses among several texts: it takes ids of shape (texts, choices, tokens). Wrap it in a module that "
        "scores one choice at a time; docs/own-model.md shows one."
    )
