"""The identity of a model, by which a resumed run recognises it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from interp_core.model._served import ServedModel
from interp_core.model._wrapped_model import WrappedModel

NUMBERS = 64  # logits
OF_EACH = 65536  # numbers of each weight


def identity_of(model: WrappedModel | ServedModel) -> tuple[dict[str, Any], list[float]]:
    """Describe the identity of a model, by which a resumed run recognises it.

    Args:
        model: the model.

    Returns:
        The settings on which results depend, as JSON values, including the name of the model and digests of its weights
        and tokenizer; and some outputs for a fixed text. For a served model, its name and address.

    Examples:
        >>> from interp_core.model import identity_of
        >>> from interp_core.testing import planted_model
        >>> settings, sample = identity_of(planted_model({"happy": (2.0, 0.0)}))
        >>> settings["model"], len(sample)
        ('_BagOfWords', 2)
    """
    if not isinstance(model, WrappedModel):
        return {"model": model.name, "url": str(getattr(model, "base_url", ""))}, []
    settings = {
        "model": model.name,
        "dtype": str(model.dtype),
        "labels": list(model.tags),
        "weights": _digest_of_weights(model),
        "tokenizer": _digest_of_tokenizer(model.tokenizer),
        "max_tokens": model.max_tokens,
        "tokens_per_batch": model.budget_asked,
        **model.how_it_runs,
    }
    return settings, model.logits(model.some_ids()).flatten()[-NUMBERS:].float().tolist()


def _digest_of_weights(model: WrappedModel) -> str:
    """A digest of some numbers of each parameter and buffer, at even distances."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in (*model.model.parameters(), *model.model.buffers()):
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // OF_EACH)].cpu().contiguous()
        digest.update(some.view(torch.uint8).numpy().tobytes() if len(some) else b"")
    return digest.hexdigest()


def _digest_of_tokenizer(tokenizer: Any) -> str:
    """A digest of the vocabulary, of how text is cut into it, and of the chat template."""
    fast: Any = getattr(tokenizer, "backend_tokenizer", None)
    rules = fast.to_str() if hasattr(fast, "to_str") else json.dumps(sorted(tokenizer.get_vocab().items()))
    template = json.dumps(getattr(tokenizer, "chat_template", None), sort_keys=True)
    return hashlib.blake2b(f"{rules}{template}".encode(), digest_size=8).hexdigest()
