"""Models as interpreto takes them."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import torch
from interp_core.errors import InputError
from interp_core.model import TextModel


def text_model(model: Any, tokenizer: Any) -> TextModel:
    """The model with its tokenizer; a `TextModel` stays what it is.

    Args:
        model: a model of transformers, or a `TextModel`.
        tokenizer: the tokenizer, which a `TextModel` has already.

    Raises:
        InputError: there is no tokenizer, or the model or tokenizer cannot be used.
    """
    if isinstance(model, TextModel):
        return model
    if tokenizer is None:
        raise InputError("there is no tokenizer; give the model's own as the second argument.")
    return interp.TextModel(model, tokenizer)


def on_device(model: TextModel, device: Any) -> None:
    """Check that a model lies on a device.

    Raises:
        InputError: it lies on another; it is the caller's, so it is not moved.
    """
    if device is None or str(device) == "auto":
        return
    try:
        asked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device is {device!r}; one such as 'cpu' or 'cuda' was expected.") from error
    if asked.type != model.device.type or asked.index not in (None, model.device.index):
        raise InputError(
            f"the model lies on {str(model.device)!r}, and device {str(device)!r} was given; move the model yourself, "
            f"model.to({str(device)!r}), since it is yours."
        )
