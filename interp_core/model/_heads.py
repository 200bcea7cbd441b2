"""Detection of the type of head, from the shape of the model's output and its behaviour, never from its name."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

Head = Literal[
    "single-label", "multi-label", "regression", "tokens", "span", "masked", "causal", "encoder-decoder", "other"
]
CLASSIFIERS: frozenset[Head] = frozenset({"single-label", "multi-label", "regression"})
GENERATORS: frozenset[Head] = frozenset({"causal", "encoder-decoder"})
VOCABULARY: frozenset[Head] = GENERATORS | {"masked"}  # predicts tokens of the vocabulary


def points_at_spans(output: Any) -> bool:
    """Whether a model's output has logits for the start of an answer and for its stop."""
    return hasattr(output, "get") and "start_logits" in output


def head_of(output: Any, logits: Tensor | None, model: Any, is_causal: Any) -> Head:
    """The type of head.

    Args:
        output: the model's output for a short text.
        logits: those in it, see `logits_of`.
        model: the Hugging Face model.
        is_causal: called to test whether the logits at a token are independent of later tokens.
    """
    if logits is None or logits.ndim not in (2, 3):
        return "other"
    config = getattr(model, "config", None)
    if points_at_spans(output):
        return "span"
    if logits.ndim == 2:
        problem = getattr(config, "problem_type", None)
        if problem == "multi_label_classification":
            return "multi-label"
        return "regression" if problem == "regression" or logits.shape[-1] == 1 else "single-label"
    vocabulary = getattr(model, "get_output_embeddings", lambda: None)()
    if vocabulary is None:
        return "tokens"
    if getattr(config, "is_encoder_decoder", False):
        return "encoder-decoder"
    return "causal" if is_causal() else "masked"
