"""Models behind wrappers: what the tokenizer gives reaches them, virtual tokens shift nothing."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.testing import tiny_classifier, tiny_generator, tiny_tagger, word_tokenizer
from torch import nn

PAIR = ("was the dog sad", "the old dog was never calm")
PROMPTS = ["i feel so", "the sun was warm and the cat"]


class Passing(nn.Module):
    """Hands on whatever it is given, as wrappers of adapters and compilers do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @property
    def config(self) -> Any:
        return self.inner.config

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.inner.get_input_embeddings()
        return found

    def get_output_embeddings(self) -> nn.Module | None:
        return getattr(self.inner, "get_output_embeddings", lambda: None)()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


class WithoutTypes(Passing):
    """Takes anything by its signature, and refuses token types."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if "token_type_ids" in kwargs:
            raise TypeError("forward() got an unexpected keyword argument 'token_type_ids'")
        return self.inner(*args, **kwargs)


def test_token_types_reach_a_model_behind_a_wrapper() -> None:
    plain = tiny_classifier()
    ids = plain.tokenizer(*PAIR, return_tensors="pt")
    with torch.no_grad():
        expected = plain.model(**ids).logits[0]
        without = plain.model(ids["input_ids"], attention_mask=ids["attention_mask"]).logits[0]
    assert not torch.allclose(expected, without, atol=0.05)
    for module, own in ((Passing(plain.model), expected), (WithoutTypes(plain.model), without)):
        model = interp.TextModel(module.eval(), word_tokenizer())
        for _ in range(2):
            (found,) = interp.attribute(model, [PAIR], by="occlusion", targets="all", progress=False)
            assert torch.allclose(found.intact, own, atol=1e-5)


class VirtualTokens(Passing):
    """Prompt tuning: trained vectors before (or behind) the embeddings of the text; outputs are longer by them."""

    def __init__(self, inner: nn.Module, first: bool = True, count: int = 3) -> None:
        super().__init__(inner)
        self.first, self.count = first, count
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.prompt = nn.Parameter(torch.randn(1, count, 16))

    def forward(self, input_ids: Any, attention_mask: Any, return_dict: bool = True, **_: Any) -> Any:
        words, prompt = self.get_input_embeddings()(input_ids), self.prompt.expand(len(input_ids), -1, -1)
        more = attention_mask.new_ones(len(input_ids), self.count)
        both = (prompt, words) if self.first else (words, prompt)
        seen = (more, attention_mask) if self.first else (attention_mask, more)
        return self.inner(inputs_embeds=torch.cat(both, 1), attention_mask=torch.cat(seen, 1))


def tuned(make: Any, first: bool = True) -> interp.TextModel:
    return interp.TextModel(VirtualTokens(make().model, first).eval(), word_tokenizer())


def test_log_probabilities_with_prompt_tuning_are_those_of_the_models_own_call() -> None:
    model = tuned(tiny_generator)
    found = interp.attribute(model, PROMPTS, by="occlusion", targets=["happy today", "sad"], progress=False)
    for one in found:
        ids = one.encoded.ids[None]
        with torch.no_grad():
            logits = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 3:]
        own = [logits[t.position - 1].log_softmax(-1)[t.index] for t in one.targets]
        assert torch.allclose(one.intact, torch.stack(own), atol=1e-5)


@pytest.mark.parametrize("first", [True, False])
def test_tags_and_activations_with_virtual_tokens_are_those_of_the_own_tokens(first: bool) -> None:
    model = tuned(tiny_tagger, first)
    start = 3 if first else 0
    found = interp.attribute(model, PROMPTS, by="occlusion", targets="all", score="logit", progress=False)
    held = model.split("inner.bert.encoder.layer.1").activations(PROMPTS, granularity="token", progress=False)
    for i, one in enumerate(found):
        ids = one.encoded.ids[None]
        states: list[torch.Tensor] = []
        hook = model.model.inner.bert.encoder.layer[1].register_forward_hook(
            lambda _m, _i, out, states=states: states.append(out[0] if isinstance(out, tuple) else out)
        )
        with torch.no_grad():
            logits = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, start:]
        hook.remove()
        own = [logits[t.position, t.index] for t in one.targets]
        assert torch.allclose(one.intact, torch.stack(own), atol=1e-5)
        words = states[0].reshape(-1, 16)[start + 1 : start + ids.shape[1] - 1]  # without [CLS] and [SEP]
        assert torch.allclose(held.values[held.rows_of(i)], words, atol=1e-5)


def test_going_on_from_a_layer_with_virtual_tokens_is_refused_in_words() -> None:
    model = tuned(tiny_generator)
    with pytest.raises(LayerError, match="or adds some"):
        interp.attribute(model, PROMPTS, by="occlusion", targets=["sad", "sad"], layer=0, progress=False)


def in_eight_bits(model: interp.TextModel, *but: str) -> interp.TextModel:
    linear = (name for name, m in model.model.named_modules() if isinstance(m, nn.Linear) and name not in but)
    inner = torch.ao.quantization.quantize_dynamic(model.model, set(linear), dtype=torch.qint8)
    return interp.TextModel(inner, model.tokenizer)


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    "by", ["input-x-gradient", "integrated-gradients", pytest.param("attention-x-gradient", marks=pytest.mark.current)]
)
@pytest.mark.parametrize("kept", [(), ("classifier", "bert.pooler.dense")])
def test_gradients_that_end_in_a_quantised_module_are_refused_and_the_module_is_named(
    by: str, kept: tuple[str, ...]
) -> None:
    """Also where a path around it is left, on which some gradient would arrive that is not that of the model."""
    model = in_eight_bits(tiny_classifier(), *kept)
    with pytest.raises(UnsupportedError, match=r"gradients do not pass through 'bert\.encoder\.layer\.0\.attention"):
        interp.attribute(model, "so happy today", by=by, targets="all", progress=False)


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_methods_that_need_only_scores_work_with_a_quantised_model() -> None:
    model = in_eight_bits(tiny_classifier())
    (found,) = interp.attribute(model, "so happy today", by="occlusion", targets="all", progress=False)
    assert bool((found.scores != 0).all())


def test_a_score_that_cannot_be_differentiated_is_said() -> None:
    def rank(logits: torch.Tensor) -> torch.Tensor:
        return logits.argmax(1).float()

    with pytest.raises(UnsupportedError, match="has no gradient"):
        interp.attribute(tiny_classifier(), "so happy", by="input-x-gradient", targets=rank, progress=False)


def test_activations_read_in_inference_mode_serve_where_gradients_are_taken() -> None:
    model = tiny_classifier()
    with torch.inference_mode():
        held = model.split(0).activations([*PROMPTS, "sad"], granularity="token", progress=False)
    assert not held.values.is_inference()
    rows = held.values.clone().requires_grad_()
    (slope,) = torch.autograd.grad((rows * held.values).sum(), rows)
    assert torch.equal(slope, held.values)


@pytest.mark.current
@pytest.mark.parametrize("by", ["attention-rollout", "value-zeroing", "attention-x-gradient"])
def test_the_default_number_format_of_the_caller_changes_nothing(by: str) -> None:
    model = tiny_classifier()
    (expected,) = interp.attribute(model, PROMPTS[0], by=by, progress=False)
    torch.set_default_dtype(torch.float64)
    try:
        (found,) = interp.attribute(model, PROMPTS[0], by=by, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
