"""Encoder-decoder models: the encoder reads the source, the decoder writes the target."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.model._hooks import stack_of
from interp_core.model._requests import PaddedBatch, Side
from torch import Tensor


def start_id(model: Any, tokenizer: Any) -> int:
    """The id that the decoder starts with: the one that the model names, else the tokenizer's BOS or padding token."""
    settings = (model.config, getattr(model, "generation_config", None))
    named = [getattr(s, "decoder_start_token_id", None) for s in settings]
    return next((int(i) for i in (*named, tokenizer.bos_token_id, tokenizer.pad_token_id) if i is not None), 0)


def model_inputs(batch: PaddedBatch, start: int) -> dict[str, Tensor]:
    """The inputs of encoder and decoder; without a target, the decoder gets the id `start` alone."""
    border = batch.source or batch.ids.shape[1]
    attention = batch.attention.long()
    target, target_attention = batch.ids[:, border:], attention[:, border:]
    if not batch.source:
        target = torch.full_like(batch.ids[:, :1], start)
        target_attention = torch.ones_like(target)
    return {
        "input_ids": batch.ids[:, :border],
        "attention_mask": attention[:, :border],
        "decoder_input_ids": target,
        "decoder_attention_mask": target_attention,
    }


def side_of(model: Any, path: str) -> Side:
    """Whether a module of an encoder-decoder model processes the tokens of the source or those of the target."""
    encoder = stack_of(model, "encoder")
    root = next(name for name, module in model.named_modules() if module is encoder)
    return "source" if path == root or path.startswith(f"{root}.") else "target"
