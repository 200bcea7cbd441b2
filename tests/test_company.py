"""What a row gives does not depend on the rows beside it, for models that do not hide padding as for those that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import UnsupportedError
from interp_core.model import trial_of
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator, word_tokenizer
from interp_core.testing._tiny_models import SPECIAL, WORDS
from torch import nn

COUNT = len(SPECIAL) + len(WORDS)
SIZES = {
    "vocab_size": COUNT,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 0,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
FUNNEL = {"vocab_size": COUNT, "block_sizes": [1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32}
CONFIGS: dict[str, Callable[[], Any]] = {
    "FNet": lambda: transformers.FNetConfig(**SIZES),
    "Yoso": lambda: transformers.YosoConfig(**SIZES),
    "ConvBert": lambda: transformers.ConvBertConfig(**SIZES, embedding_size=16),
    "Nystromformer": lambda: transformers.NystromformerConfig(**SIZES, num_landmarks=8, segment_means_seq_len=8),
    "Funnel": lambda: transformers.FunnelConfig(**FUNNEL, pad_token_id=0),
    "Bert": lambda: transformers.BertConfig(**SIZES),
}
TEXTS = ["i feel so happy today and the sun", "sad", "the old dog was"]
GAPS = ["i feel so [MASK] today and the sun", "[MASK] sad", "the [MASK] dog was"]


def made(name: str, head: str) -> interp.TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}For{head}")(CONFIGS[name]())
    return interp.TextModel(model.eval(), word_tokenizer())


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "MaskedLM"])
def test_scores_in_company_are_those_alone_and_of_the_models_own_call(name: str, head: str) -> None:
    model = made(name, head)
    texts = GAPS if head == "MaskedLM" else TEXTS
    together = interp.attribute(model, texts, by="occlusion", score="logit", progress=False)
    for text, found in zip(texts, together, strict=True):
        with torch.no_grad():
            logits = model.model(model.encoder(text).ids[None]).logits[0]
        own = [logits[t.index] if t.position is None else logits[t.position, t.index] for t in found.targets]
        assert torch.allclose(found.intact, torch.stack(own), atol=1e-5)
        (alone,) = interp.attribute(model, text, by="occlusion", score="logit", progress=False)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"Funnel"}))  # whose blocks are not one list
@pytest.mark.parametrize("layer", [0, 1])
def test_activations_in_company_are_the_hidden_states_alone(name: str, layer: int) -> None:
    model = made(name, "SequenceClassification")
    held = model.split(layer).activations(TEXTS, granularity="token", progress=False)
    for i, text in enumerate(TEXTS):
        with torch.no_grad():
            states = model.model(model.encoder(text).ids[None], output_hidden_states=True).hidden_states[layer + 1][0]
        assert torch.allclose(held.values[held.rows_of(i)], states[1:-1], atol=1e-5)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_only_rows_that_padding_would_change_are_kept_to_their_length(name: str) -> None:
    assert made(name, "TokenClassification").sharing == ("padded" if name == "Bert" else "equal-length")


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_translator])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rounding_is_not_taken_for_an_influence(make: Callable[[], interp.TextModel], dtype: torch.dtype) -> None:
    whole = make()
    assert interp.TextModel(whole.model.to(dtype), whole.tokenizer).sharing == "padded"


def test_rows_of_equal_length_still_share_passes() -> None:
    """The variants of one text are as long as each other, so that nothing is lost for it."""
    model = made("FNet", "SequenceClassification")
    (found,) = interp.attribute(model, TEXTS[0], by="occlusion", progress=False)
    assert found.made_by.cost.forwards == 2  # the text for its class, and all variants at once


class Crowded(nn.Module):
    """A row's answer also depends on the rows beside it, as with experts of limited capacity."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_classifier().model
        self.config = self.inner.config

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.inner.get_input_embeddings()
        return found

    def forward(self, input_ids: Any, attention_mask: Any, return_dict: bool = True) -> Any:
        output = self.inner(input_ids, attention_mask=attention_mask)
        output.logits = output.logits + output.logits.mean(0)
        return output


def test_rows_that_change_each_other_run_alone() -> None:
    model = interp.TextModel(Crowded().eval(), word_tokenizer())
    assert model.sharing == "single"
    together = interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = interp.attribute(model, text, by="occlusion", targets="all", progress=False)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


def test_states_may_share_a_pass_where_only_the_head_refuses_company() -> None:
    """GPT-2 without a padding token classifies one row at a time; its blocks do not care."""
    sizes = {"vocab_size": COUNT, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "num_labels": 3}
    model = transformers.GPT2ForSequenceClassification(transformers.GPT2Config(**sizes, pad_token_id=None)).eval()
    trial = trial_of(interp.TextModel(model, word_tokenizer()))
    assert (trial.states, trial.logits) == ("padded", "single")


@pytest.mark.parametrize("name", ["FNet", "ConvBert"])
def test_hiding_a_word_from_a_model_that_ignores_the_mask_is_refused(name: str) -> None:
    model = made(name, "SequenceClassification")
    with pytest.raises(UnsupportedError, match="removes nothing here"):
        interp.attribute(model, TEXTS[0], by="occlusion", removal="attention", progress=False)


def gemma() -> interp.TextModel:
    """Each block reads the ids again, through embeddings of its own."""
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    own = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": COUNT, "head_dim": 8}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "num_key_value_heads": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.Gemma4ForCausalLM(transformers.Gemma4TextConfig(**SIZES, **layers, **own, **ids)).eval()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.5)
    return interp.TextModel(model, word_tokenizer())


class Emptied:
    """The score with every unit removed, as the score of the first one."""

    def attribute(self, question: interp.Question) -> torch.Tensor:
        scores = torch.zeros(len(question.targets), len(question.units))
        scores[:, 0] = question.emptied()
        return scores


@pytest.mark.current
@pytest.mark.parametrize("removal", ["mask", "mean", "zero"])
@pytest.mark.parametrize("layer", [None, 0])
def test_with_all_words_removed_two_texts_are_one_also_where_ids_are_read_again(
    removal: str, layer: int | None
) -> None:
    model = gemma()
    texts, options = ["so happy today", "the sad cat"], {"by": Emptied(), "removal": removal, "layer": layer}
    with pytest.warns(interp.InterpWarning, match="reads token ids below its embeddings"):
        one, other = interp.attribute(model, texts, targets=["red", "red"], progress=False, **options)
    assert float(one.scores[0, 0]) != 0
    assert torch.allclose(one.scores[:, 0], other.scores[:, 0], atol=1e-5)


@pytest.mark.current
def test_a_word_replaced_by_the_mask_token_scores_as_in_the_text_with_that_token() -> None:
    model = gemma()
    with pytest.warns(interp.InterpWarning, match=r"read as '\[MASK\]'"):
        (found,) = interp.attribute(model, "so happy today", by="occlusion", targets="red", progress=False)
    ids = found.encoded.ids.repeat(4, 1)
    for row, place in enumerate((1, 2, 3), 1):
        ids[row, place] = model.tokenizer.mask_token_id
    with torch.no_grad():
        likely = model.model(ids).logits[:, -2].log_softmax(-1)[:, found.targets[0].index]
    assert torch.allclose(found.scores[0, :3], likely[0] - likely[1:], atol=1e-4)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_translator])
def test_models_that_read_ids_once_have_no_such_note(make: Callable[[], interp.TextModel]) -> None:
    assert not trial_of(make()).reads_ids
