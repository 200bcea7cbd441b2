"""No token is run that changes nothing: padding, the beginning that variants share, and rows that need no text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.attribution import _method_call, _session
from interp_core.concepts import AffineSpace, _pointwise
from interp_core.errors import InterpWarning, ModelError, UnsupportedError
from interp_core.model import (
    ModelOutput,
    ModelRequest,
    RequestBatcher,
    Target,
    TextRows,
    _forward,
    _hooks,
    readout_of,
    whole_text,
)
from interp_core.model._trial import A_PASS, rows_without_padding
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator, word_tokenizer

CPU = torch.device("cpu")
TEXTS = ["so happy today", "the old dog was never calm", "sad", "i feel so sad but not cold"]
PROMPT = "i feel so happy today and the old dog was never calm and the cold night was long but warm"


def batches(lengths: list[int], budget: int) -> list[list[int]]:
    todo, filled = sorted(lengths, reverse=True), []
    while todo:
        count = rows_without_padding(todo[: max(1, budget // todo[0])], CPU)
        filled.append(todo[:count])
        todo = todo[count:]
    return filled


@pytest.mark.parametrize("budget", [512, 1024, 4096, 65536])
@pytest.mark.parametrize("longest", [24, 60, 500])
def test_padding_is_little_at_every_budget(budget: int, longest: int) -> None:
    draw = random.Random(0)
    lengths = [draw.randint(3, longest) for _ in range(48 * 20)]
    filled = batches(lengths, budget)
    tokens = sum(batch[0] * len(batch) for batch in filled)
    assert sorted(length for batch in filled for length in batch) == sorted(lengths)
    assert all(batch[0] * len(batch) <= budget or len(batch) == 1 for batch in filled)
    assert tokens <= 1.2 * sum(lengths)


def test_a_few_rows_are_rather_padded_than_run_apart() -> None:
    assert batches([9, 7, 5], 4096) == [[9, 7, 5]]
    assert batches([30, 30, 28, *[10] * 20], 4096) == [[30, 30, 28], [10] * 20]


def test_on_an_accelerator_a_pass_is_worth_more_padding() -> None:
    lengths = [30, 30, 28, *[10] * 20]
    assert A_PASS["cuda"] > A_PASS["cpu"] and rows_without_padding(lengths, torch.device("cuda")) == len(lengths)


def test_texts_of_ragged_lengths_are_hardly_padded() -> None:
    model = tiny_classifier()
    texts = ["sad " * (2 + 5 * (i % 5)) for i in range(40)]
    cost = model.split(-1).activations(texts, progress=False).made_by.cost
    assert cost.tokens <= 1.2 * sum(len(model.encoder(text)) for text in texts)


def test_slopes_of_many_texts_are_asked_together() -> None:
    model = tiny_classifier()
    texts = ["sad " * (2 + i) for i in range(28)]
    cost = interp.attribute(model, texts, by="smooth-grad", samples=10, targets=0, progress=False)[0].made_by.cost
    assert cost.tokens <= 1.1 * 11 * sum(len(model.encoder(text)) for text in texts)
    assert cost.backwards <= 12  # a pass ends where it would be padded; a few rows of each text at a time they took 31


def test_the_model_is_held_at_rest_once_for_many_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = interp.TextModel(tiny_classifier().model, word_tokenizer(), tokens_per_batch=16)
    interp.attribute(model, TEXTS, by="occlusion", progress=False)  # what is tried once
    taken = []
    state = _hooks.ModuleState
    monkeypatch.setattr(_hooks, "ModuleState", lambda modules: taken.append(len(modules)) or state(modules))
    cost = interp.attribute(model, TEXTS, by="occlusion", progress=False)[0].made_by.cost
    assert len(taken) <= 3 < 8 <= cost.forwards


def generator(family: str) -> interp.TextModel:
    if family == "tiny":
        return tiny_generator()
    tokenizer = word_tokenizer()
    common: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2}
    common |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
    made = {
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(num_key_value_heads=1, **common)),
        "mistral": lambda: transformers.MistralForCausalLM(
            transformers.MistralConfig(num_key_value_heads=1, sliding_window=4, **common)
        ),
        "opt": lambda: transformers.OPTForCausalLM(
            transformers.OPTConfig(ffn_dim=32, word_embed_proj_dim=16, **common)
        ),
        "bloom": lambda: transformers.BloomForCausalLM(
            transformers.BloomConfig(vocab_size=len(tokenizer), hidden_size=16, n_layer=2, n_head=2)
        ),
        "rwkv": lambda: transformers.RwkvForCausalLM(
            transformers.RwkvConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2)
        ),
    }
    torch.manual_seed(0)
    return interp.TextModel(made[family]().eval(), tokenizer)


def told(model: interp.TextModel, monkeypatch: pytest.MonkeyPatch, again: bool, **options: Any) -> Any:
    """What occlusion says, with the beginning of the prompt run again for each row or not."""
    options = {"by": "occlusion", "targets": " so sad", "progress": False, **options}
    with monkeypatch.context() as patched:
        if again:
            patched.setattr(_forward, "planned", lambda _model, request, _budget: request)
        return interp.attribute(model, [PROMPT, "the cold night was long and i was sad"], **options)


@pytest.mark.parametrize("family", ["tiny", "llama", "opt", "bloom"])
def test_what_variants_begin_with_runs_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = generator(family)
    once, again = (told(model, monkeypatch, again) for again in (False, True))
    for one, other in zip(once, again, strict=True):
        assert torch.allclose(one.scores, other.scores, atol=1e-5)
        assert float(other.scores.abs().max()) > 1e-3
    assert once[0].made_by.cost.tokens < 0.9 * again[0].made_by.cost.tokens


@pytest.mark.parametrize("family", ["mistral", "rwkv"])
def test_models_that_keep_something_else_run_everything(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = generator(family)
    once, again = (told(model, monkeypatch, again) for again in (False, True))
    assert once[0].made_by.cost.tokens == again[0].made_by.cost.tokens
    assert all(torch.equal(one.scores, other.scores) for one, other in zip(once, again, strict=True))


def test_variants_that_begin_anew_share_their_passes() -> None:
    model = tiny_generator()
    encoded = model.encoder.prompt(PROMPT)
    target = Target("happy", 5, position=len(encoded))
    stays = torch.ones(8, len(encoded), dtype=torch.bool)
    lengths = torch.full((8,), len(encoded))
    build = whole_text(encoded)
    readout = readout_of((target,), "logit", "causal")
    for changed, expected in ((slice(0, 1), False), (slice(4, 8), True)):
        rows = stays.clone()
        rows[:, changed] = False
        request = ModelRequest(lengths, build, readout, whole=lambda: build(torch.arange(1)), stays=rows)
        assert (_forward.planned(model, request, 64).unchanged is not None) is expected


def test_under_an_intervention_everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_generator()
    space = AffineSpace(torch.eye(16), torch.eye(16))
    with interp.intervene(model.split(0), space, ablate=[0, 1, 2], positions="last"):
        once, again = (told(model, monkeypatch, again) for again in (False, True))
    assert once[0].made_by.cost.tokens == again[0].made_by.cost.tokens
    assert all(torch.equal(one.scores, other.scores) for one, other in zip(once, again, strict=True))


def test_running_out_of_memory_keeps_what_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_generator()
    expected = told(model, monkeypatch, again=True)
    inner = model.model.forward

    def forward(*args: Any, **given: Any) -> Any:
        if given["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(*args, **given)

    model.model.forward = forward
    found = told(model, monkeypatch, again=False)
    assert all(torch.allclose(a.scores, b.scores, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_one_job_runs_at_a_time() -> None:
    running, most = [], []

    def job() -> None:
        for _ in range(3):
            running.append(1)
            most.append(len(running))
            sum(range(20_000))
            running.pop()
            batcher.ask(ModelRequest(torch.tensor([1]), lambda rows: TextRows(rows[:, None], rows[:, None] >= 0)))

    batcher = RequestBatcher(lambda requests: [ModelOutput()] * len(requests))
    assert len(list(batcher.each([job] * 20, width=8))) == 20
    assert max(most) == 1


HEADS: dict[str, Callable[[], interp.TextModel]] = {
    "single-label": tiny_classifier,
    "bfloat16": lambda: _in_half(tiny_classifier()),
    "multi-label": lambda: tiny_classifier(problem_type="multi_label_classification"),
    "regression": lambda: tiny_classifier(labels=1, problem_type="regression"),
    "causal": lambda: _causal(),
}


def _in_half(model: interp.TextModel) -> interp.TextModel:
    model.model.to(torch.bfloat16)
    return interp.TextModel(model.model, model.tokenizer)


def _causal() -> interp.TextModel:
    tokenizer = word_tokenizer()
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=32, num_labels=3, pad_token_id=0
    )
    torch.manual_seed(0)
    return interp.TextModel(transformers.GPT2ForSequenceClassification(config).eval(), tokenizer)


def space_of(width: int) -> AffineSpace:
    drawn = torch.randn(5, width, generator=torch.Generator().manual_seed(1))
    return AffineSpace(drawn, drawn / width, torch.full((width,), 0.1))


@pytest.mark.parametrize("by", ["input-x-gradient", "saliency"])
@pytest.mark.parametrize("head", HEADS)
def test_rows_that_determine_their_scores_are_one_question(head: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HEADS[head]()
    split = model.split(-1)
    activations = split.activations(TEXTS, granularity="cls", predictions=head == "single-label", progress=False)
    asked = {"all": "all", "first": 0} | ({"predicted": "predicted"} if head == "single-label" else {})
    asked |= {} if head == "regression" else {"contrast": interp.contrast(0, 1)}
    for targets in asked.values():
        for score in ["logit"] if head == "regression" else ["logit", "probability"]:
            options = {"by": by, "targets": targets, "score": score, "progress": False}
            together = interp.importance(split, space_of(16), activations, **options)
            with monkeypatch.context() as patched:
                patched.setattr(_pointwise, "are_asked_together", lambda *_: False)
                apart = interp.importance(split, space_of(16), activations, **options)
            assert together.targets == apart.targets and together.notes == apart.notes
            size = float(apart.per_text.abs().max())
            assert size > 0
            assert torch.allclose(together.per_text, apart.per_text, atol=(0.02 if head == "bfloat16" else 1e-5) * size)
            assert together.made_by.cost.rows == apart.made_by.cost.rows == len(TEXTS)
            assert together.made_by.cost.tokens == len(TEXTS)


def test_rows_of_words_are_asked_text_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pointwise, "_contributions", lambda *_: pytest.fail("these rows are not alone"))
    model = tiny_classifier()
    for layer, granularity in ((0, "word"), (0, "cls")):
        split = model.split(layer)
        activations = split.activations(TEXTS, granularity=granularity, progress=False)
        assert float(interp.importance(split, space_of(16), activations, progress=False).scores.max()) > 0
    split = model.split(-1)
    activations = split.activations(TEXTS, granularity="cls", progress=False)
    interp.importance(split, space_of(16), activations, by="integrated-gradients", progress=False)


@pytest.mark.parametrize("by", ["input-x-gradient", "saliency"])
@pytest.mark.parametrize("head", ["single-label", "multi-label", "bfloat16", "causal"])
def test_the_targets_and_their_slopes_are_one_pass(head: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HEADS[head]()
    texts = [*TEXTS, TEXTS[0]]
    labels = None if head == "multi-label" else [0, 1, 2, 0, 1]
    predicted = ({}, {"score": "probability"}, {"granularity": "token"}, {"max_rows": 1}, {"targets": "predicted"})
    given = (
        {"targets": 0},
        {"targets": "all"},
        {"targets": [interp.contrast(1, 0), 1]},
        {"targets": torch.tensor([1])},
    )
    for options in (*predicted, *given):
        together = interp.attribute(model, texts, by=by, labels=labels, progress=False, **options)
        with monkeypatch.context() as patched:
            patched.setattr(_method_call, "late_readout", lambda *_: None)
            apart = interp.attribute(model, texts, by=by, labels=labels, progress=False, **options)
        for one, other in zip(together, apart, strict=True):
            assert torch.allclose(one.scores, other.scores, rtol=1e-3, atol=1e-6)
            assert torch.allclose(one.intact, other.intact, rtol=1e-3, atol=1e-6)
            for name in ("targets", "label", "notes", "score_space", "units"):
                assert getattr(one, name) == getattr(other, name), name
            assert one.rows <= other.rows
            assert one.answer is not None and other.answer in (one.answer, None)
        cost, before = together[0].made_by.cost, apart[0].made_by.cost
        assert cost.rows == len(TEXTS) and before.rows >= 2 * len(TEXTS)
        assert cost.tokens < 0.5 * before.tokens + len(TEXTS)
    assert together[0].made_by.settings.keys() == apart[0].made_by.settings.keys()


@pytest.mark.parametrize("by", ["input-x-gradient", "saliency"])
@pytest.mark.parametrize("made", [tiny_generator, tiny_translator])
def test_a_continuation_and_its_slopes_are_one_pass(
    made: Callable[[], interp.TextModel], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts, targets = made(), ["so happy today", "sad"], [" happy sad", " so"]
    for options in ({}, {"score": "log-probability"}, {"granularity": "token"}, {"removal": "zero"}):
        together = interp.attribute(model, prompts, by=by, targets=targets, progress=False, **options)
        with monkeypatch.context() as patched:
            patched.setattr(_session.Session, "_pointwise", lambda *_: False)
            apart = interp.attribute(model, prompts, by=by, targets=targets, progress=False, **options)
        for one, other in zip(together, apart, strict=True):
            assert torch.allclose(one.scores, other.scores, rtol=1e-3, atol=1e-6)
            assert torch.allclose(one.intact, other.intact, rtol=1e-3, atol=1e-6)
        assert together[0].made_by.cost.rows == 2 and apart[0].made_by.cost.rows == 4


def test_what_else_a_method_needs_is_asked_as_before() -> None:
    model = tiny_classifier()
    for options in ({"targets": [[0]] * len(TEXTS)}, {"layer": 0}, {"by": "integrated-gradients"}):
        given = {"by": "saliency", **options}
        cost = interp.attribute(model, TEXTS, progress=False, **given)[0].made_by.cost
        assert cost.rows >= len(TEXTS)
    with pytest.raises(UnsupportedError, match="needs gradients"):
        interp.attribute(model, TEXTS, by="saliency", removal="attention", progress=False)


def test_a_text_whose_pass_fails_is_skipped_or_named() -> None:
    model = tiny_classifier()
    weight = model.model.get_input_embeddings().weight
    with torch.no_grad():
        weight[model.encoder("sad").ids[1]] = torch.nan
    with pytest.raises(ModelError, match=r"text 2 \('sad'\)"):
        interp.attribute(model, TEXTS[:3], by="saliency", progress=False)
    with pytest.warns(InterpWarning, match="1 of 3 texts were skipped"):
        kept = interp.attribute(model, TEXTS[:3], by="saliency", on_error="skip", progress=False)
    assert [one.text for one in kept] == TEXTS[:2]
