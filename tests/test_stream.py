"""What a module gives, by the equations of its architecture: the residual stream, or something that is added to it."""

from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.testing import planted_model, tiny_classifier, tiny_generator, tiny_llama, word_tokenizer


def tiny_bloom() -> interp.TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.BloomConfig(vocab_size=45, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.5)
        return interp.TextModel(transformers.BloomForCausalLM(config).eval(), word_tokenizer())


STREAM, ADDED, INSIDE = "is the residual stream", "is added to the residual stream", "inside the block"


@pytest.mark.parametrize(
    ("make", "path", "expected"),
    [
        (tiny_bloom, "transformer.h.1.self_attention", STREAM),  # dropout_add(attention, residual)
        (tiny_bloom, "transformer.h.1.mlp", STREAM),
        (tiny_generator, "transformer.h.1.attn", ADDED),  # x + attn(ln(x))
        (tiny_generator, "transformer.h.1.mlp", ADDED),
        (tiny_generator, "transformer.h.1", STREAM),
        (tiny_generator, "transformer.h.1.ln_1", INSIDE),
        (tiny_llama, "model.layers.0.self_attn", ADDED),
        (tiny_llama, "model.layers.0.mlp", ADDED),
        (tiny_classifier, "bert.encoder.layer.0.attention", STREAM),  # LayerNorm(x + attention(x))
        (tiny_classifier, "bert.encoder.layer.0.attention.output.dense", ADDED),
        (tiny_classifier, "bert.encoder.layer.0.attention.self.query", INSIDE),
        (tiny_classifier, "bert.encoder.layer.0.intermediate", INSIDE),
        (tiny_classifier, "bert.embeddings", "in none of the blocks"),
        (lambda: planted_model({"sad": (1.0, 0.0)}), "words", "in none of the blocks"),
    ],
)
def test_what_a_module_is_to_the_residual_stream_is_found_by_trying(make: Any, path: str, expected: str) -> None:
    assert expected in make().split(path).describe()
