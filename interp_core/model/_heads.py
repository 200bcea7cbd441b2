"""What kind of answer a model gives, told by the shape of its output and by its behaviour, never by its name."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

Head = Literal[
    "single-label", "multi-label", "regression", "tokens", "span", "masked", "causal", "encoder-decoder", "other"
]
CLASSIFIERS: frozenset[Head] = frozenset({"single-label", "multi-label", "regression"})
GENERATORS: frozenset[Head] = frozenset({"causal", "encoder-decoder"})
VOCABULARY: frozenset[Head] = GENERATORS | {"masked"}  # answers with a token


def logits_of(output: Any, attention: Bool[Tensor, "p t"] | None = None) -> Tensor | None:
    """The logits of a model's output: (p, v), or (p, m, v) where there is an answer for each token.

    Of a model that extracts an answer they are (p, 2, t): where it starts and where it stops, over the tokens.
    """
    if not hasattr(output, "get"):
        return None
    start, stop = output.get("start_logits"), output.get("end_logits")
    if isinstance(start, Tensor) and isinstance(stop, Tensor):
        both = torch.stack([start, stop], dim=1)
        return both if attention is None else both.masked_fill(~attention.to(both.device)[:, None], -torch.inf)
    found = output.get("logits")
    return found if isinstance(found, Tensor) else None


def head_of(output: Any, model: Any, looks_only_back: Any) -> Head:
    """The kind of head, from what it gives for a short text.

    Args:
        output: that.
        model: the Hugging Face model.
        looks_only_back: called to try whether later tokens change earlier answers.
    """
    found = logits_of(output)
    if found is None or found.ndim not in (2, 3):
        return "other"
    if "start_logits" in output:
        return "span"
    if found.ndim == 2:
        problem = getattr(model.config, "problem_type", None)
        if problem == "multi_label_classification":
            return "multi-label"
        return "regression" if problem == "regression" or found.shape[-1] == 1 else "single-label"
    vocabulary = getattr(model, "get_output_embeddings", lambda: None)()
    if vocabulary is None:
        return "tokens"
    if getattr(model.config, "is_encoder_decoder", False):
        return "encoder-decoder"
    return "causal" if looks_only_back() else "masked"
