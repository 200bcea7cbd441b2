"""Models of two stacks: an encoder that reads the source, and a decoder that writes."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.model._requests import PaddedBatch, Side
from torch import Tensor


def start_id(model: Any, tokenizer: Any) -> int:
    """What the decoder starts with: as the model says, else the token that begins a text."""
    settings = (model.config, getattr(model, "generation_config", None))
    found = [getattr(s, "decoder_start_token_id", None) for s in settings]
    return next((int(i) for i in (*found, tokenizer.bos_token_id, tokenizer.pad_token_id) if i is not None), 0)


def model_inputs(batch: PaddedBatch, start: int) -> dict[str, Tensor]:
    """The inputs of both stacks; where there is no target yet, the decoder is given what it starts with."""
    border = batch.source or batch.ids.shape[1]
    attention = batch.attention.long()
    rest, seen = batch.ids[:, border:], attention[:, border:]
    if not batch.source:
        rest = torch.full_like(batch.ids[:, :1], start)
        seen = torch.ones_like(rest)
    return {
        "input_ids": batch.ids[:, :border],
        "attention_mask": attention[:, :border],
        "decoder_input_ids": rest,
        "decoder_attention_mask": seen,
    }


def side_of(model: Any, path: str) -> Side:
    """Whether the tokens of the source or those of the target pass through a module."""
    encoder = model.get_encoder()
    stack = next(name for name, module in model.named_modules() if module is encoder)
    return "source" if path == stack or path.startswith(f"{stack}.") else "target"
