"""The trained model, as the package carries it."""

from __future__ import annotations

from pathlib import Path

import interp_core as interp

MODEL = Path(__file__).parent / "lookup"


def lookup_model() -> interp.TextModel:
    """The lookup model: a small trained LLaMA that looks up who holds what in a context (see `lookup_contexts`).

    Returns:
        A `LlamaForCausalLM` of 3 blocks, each with 2 heads of width 32, and its tokenizer; each call loads it anew.

    Examples:
        >>> import interp_core as interp
        >>> model = interp.lookup_model()
        >>> context = interp.lookup_contexts(1)[0]
        >>> found = interp.attribute(model, context.prompt, by="occlusion", granularity="sentence", progress=False)
        >>> found[0].targets[0].label == context.answer
        True
    """
    return interp.load(MODEL)


__all__ = ["lookup_model"]
