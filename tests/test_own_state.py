"""Models that change themselves while they run, and ids beyond their embeddings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import InputError, LayerError
from interp_core.model import BatchRunner, _own_positions, tap
from interp_core.testing import state_of, tiny_classifier, tiny_generator, word_tokenizer
from interp_core.testing._tiny_models import SPECIAL, WORDS
from torch import nn

COUNT = len(SPECIAL) + len(WORDS)
SMALL = {"vocab_size": COUNT, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}
TEXTS = ["i feel so happy today", "sad", "the old dog was never calm"]


def big_bird() -> nn.Module:
    """Block-sparse attention; on a text that is too short for it, it switches itself to full attention for good."""
    config = transformers.BigBirdConfig(
        **SMALL, intermediate_size=32, max_position_embeddings=512, block_size=4, num_random_blocks=1, num_labels=3
    )
    config.initializer_range = 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.BigBirdForSequenceClassification(config).eval()


def own_answer(module: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    import copy

    with torch.no_grad():
        found: torch.Tensor = copy.deepcopy(module)(ids, attention_mask=torch.ones_like(ids)).logits
    return found


def test_a_model_that_switches_its_attention_is_as_it_was_and_answers_as_a_fresh_one() -> None:
    module, tokenizer = big_bird(), word_tokenizer()
    tokenizer.model_max_length = 512
    long = torch.randint(5, COUNT, (1, 200), generator=torch.Generator().manual_seed(0))
    short = long[:, :7]
    expected = {"long": own_answer(module, long), "short": own_answer(module, short)}
    kinds = [type(one) for one in module.modules()]
    model = interp.TextModel(module, tokenizer)
    interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)
    model.split(0).activations(TEXTS, progress=False)
    assert module.bert.attention_type == "block_sparse" and [type(one) for one in module.modules()] == kinds
    assert torch.equal(own_answer(module, long), expected["long"])
    for _ in range(2):  # in any order
        assert torch.allclose(model.logits(short), expected["short"], atol=1e-5)
        assert torch.allclose(model.logits(long), expected["long"], atol=1e-5)


class Restless(nn.Module):
    """Answers another thing at each call, as models do that keep what they have seen on themselves."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        inner = tiny_classifier().model
        self.inner, self.config, self.kind = inner, inner.config, kind
        self.count = 0
        self.register_buffer("total", torch.zeros(1))
        self.register_buffer("other", torch.zeros(1))

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.inner.get_input_embeddings()
        return found

    def forward(self, input_ids: Any, attention_mask: Any, return_dict: bool = True) -> Any:
        output = self.inner(input_ids, attention_mask=attention_mask)
        output.logits = output.logits + self.count + self.total + self.other
        if self.kind == "attribute":
            self.count += 1
        elif self.kind == "buffer in place":
            self.total += 1
        elif self.kind == "buffer":
            self.other = self.other + 1
        elif self.kind == "random":
            output.logits = output.logits + torch.rand(())
        else:
            self.config.hidden_dropout_prob += 0.1
            output.logits = output.logits + self.config.hidden_dropout_prob
        return output


@pytest.mark.parametrize("kind", ["attribute", "buffer", "buffer in place", "config", "random"])
def test_what_a_pass_leaves_on_the_modules_is_put_back(kind: str) -> None:
    module = Restless(kind)
    model = interp.TextModel(module.eval(), word_tokenizer())
    before = state_of(model)

    def told(model: interp.TextModel) -> interp.Attributions:
        return interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)

    first, second = told(model), told(model)
    several = told(interp.TextModel(module.eval(), word_tokenizer(), tokens_per_batch=16))
    assert state_of(model) == before and module.count == 0
    assert several[0].made_by.cost.forwards > first[0].made_by.cost.forwards + 5
    for one, other, apart in zip(first, second, several, strict=True):
        assert torch.equal(one.intact, other.intact) and torch.equal(one.scores, other.scores)
        assert torch.allclose(one.scores, apart.scores, atol=1e-5) and torch.allclose(one.intact, apart.intact)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_a_padding_token_beyond_the_embeddings_is_not_needed(make: Any) -> None:
    """Any id will do under the mask: two texts of different length are explained as each alone."""
    model = make()
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<filler>"})
    assert tokenizer.pad_token_id == COUNT
    model.model.config.pad_token_id = None
    other = interp.TextModel(model.model, tokenizer)
    options: dict[str, Any] = {"by": "occlusion", "progress": False}
    options |= {"targets": "all"} if other.labels else {"targets": " happy day"}
    together = interp.attribute(other, TEXTS, **options)
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = interp.attribute(other, text, **options)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
@pytest.mark.parametrize("targets", [None, "given"])
def test_a_token_of_the_text_beyond_the_embeddings_is_said(make: Any, targets: str | None) -> None:
    model = make()
    tokenizer = word_tokenizer()
    tokenizer.add_tokens(["joyous"])
    other = interp.TextModel(model.model, tokenizer)
    given = None if targets is None else 0 if other.labels else " happy"
    for work in (
        lambda: interp.attribute(other, "so joyous", by="occlusion", targets=given, progress=False),
        lambda: other.split(0).activations(["so joyous"], progress=False),
    ):
        with pytest.raises(InputError, match=rf"gives id {COUNT}, but the model has {COUNT} embeddings"):
            work()


def test_a_mask_token_beyond_the_embeddings_is_not_what_words_are_removed_by() -> None:
    model = tiny_classifier()
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "<gap>"})
    other = interp.TextModel(model.model, tokenizer)
    (found,) = interp.attribute(other, "so happy", by="occlusion", targets=0, progress=False)
    assert found.made_by.settings["removal"] == "mean"
    with pytest.raises(interp.errors.UnsupportedError, match="needs a mask token that the model has an embedding of"):
        interp.attribute(other, "so happy", by="occlusion", targets=0, removal="mask", progress=False)


def mobile_bert(seed: int = 0) -> Any:
    config = transformers.MobileBertConfig(
        vocab_size=COUNT,
        hidden_size=16,
        embedding_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        intra_bottleneck_size=16,
        pad_token_id=0,
        initializer_range=0.5,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.MobileBertForMaskedLM(config).eval()


@pytest.mark.parametrize("score", ["logit", "log-probability"])
def test_a_vocabulary_head_that_is_never_called_is_read_at_the_gap(score: str) -> None:
    """MobileBERT multiplies with the weights of its output embedding, and never calls the module."""
    model = interp.TextModel(mobile_bert(), word_tokenizer())
    assert model.head == "masked"
    texts = ["so [MASK] today", "the old dog was [MASK] and calm"]
    for text, found in zip(
        texts,
        interp.attribute(model, texts, by="occlusion", targets=["happy", "sad"], score=score, progress=False),
        strict=True,
    ):
        ids = model.encoder(text).ids[None]
        gap = int((ids[0] == model.tokenizer.mask_token_id).nonzero())
        with torch.no_grad():
            logits = model.model(ids, attention_mask=torch.ones_like(ids)).logits[0, gap]
        own = logits if score == "logit" else logits.log_softmax(-1)
        assert torch.allclose(found.intact, own[[found.targets[0].index]], atol=1e-5)
    (found,) = interp.attribute(model, texts[0], by="occlusion", progress=False)  # its own words, two positions
    assert found.targets[0].position == 2


# Models that add positions to a text


def longformer() -> nn.Module:
    """Pads a text inside to a multiple of its window."""
    sizes = {**SMALL, "pad_token_id": 1, "intermediate_size": 32, "max_position_embeddings": 512}
    config = transformers.LongformerConfig(**sizes, attention_window=6, num_labels=3)
    config.initializer_range = 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.LongformerForSequenceClassification(config).eval()


def test_where_positions_are_added_may_be_asked_in_the_middle_of_a_pass() -> None:
    """The trial is a pass of its own, which nothing that is open reads, replaces or ends."""
    model = interp.TextModel(longformer(), word_tokenizer())
    encoded = model.encoder(TEXTS[0])
    (states,) = model.split(0).states(BatchRunner(model), [encoded])
    expected = model.logits(encoded.ids[None])
    assert len(encoded) % 6 and model.tried.pop("added positions") is False
    ids = encoded.ids[None]
    with tap(model.model, model.blocks[0], replace=states[None], layout=model.layout) as seen:
        answer = model.forward(ids, torch.ones_like(ids)).logits
    assert seen.read().shape[1] % 6 == 0 and torch.allclose(answer, expected, atol=1e-5)
    assert model.tried["added positions"] is False


@pytest.mark.parametrize("come_first", [False, True])
def test_attention_may_change_another_position_more_than_the_one_that_was_changed(
    come_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two positions ahead changes more than the token's own, as in one of twenty small LEDs."""

    def states(_model: object, ids: torch.Tensor) -> torch.Tensor:
        rows = torch.nn.functional.one_hot(ids, 50).float()
        mixed = rows + 1.2 * rows.roll(-2, 1)
        return torch.nn.functional.pad(mixed, (0, 0, 5, 0) if come_first else (0, 0, 0, 5))

    monkeypatch.setattr(_own_positions, "_lowest_states", states)
    model = SimpleNamespace(
        some_ids=lambda: torch.arange(13)[None], embeddings=SimpleNamespace(count=50), tried={}, name="mixed"
    )
    assert _own_positions.come_first(model) is come_first


def test_where_positions_are_added_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def states(_model: object, ids: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(ids, 50).float().sum(1, keepdim=True).expand(1, ids.shape[1] + 5, 50)

    monkeypatch.setattr(_own_positions, "_lowest_states", states)
    model = SimpleNamespace(
        some_ids=lambda: torch.arange(13)[None], embeddings=SimpleNamespace(count=50), tried={}, name="mixed"
    )
    with pytest.raises(LayerError, match="mixed adds 5 positions to a text, and where could not be found out"):
        _own_positions.come_first(model)
