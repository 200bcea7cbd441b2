"""Tuned lenses: they recover what is planted, leave the model alone, and say what they gained on texts held out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interp_core as interp
import interp_tuned_lens.training as module
import pytest
import torch
import transformers
from click.testing import CliRunner
from interp_core.cli import main
from interp_core.errors import InputError, InterpWarning, UnsupportedError
from interp_core.results import MadeBy, save_tensors
from interp_core.testing import (
    state_of,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
    word_tokenizer,
)
from interp_logit_lens.logit_lens import logit_lens
from interp_tuned_lens.training import fit_tuned_lens
from interp_tuned_lens.tuned_lens import TunedLens
from saved_models import saved
from torch import Tensor, nn

WORDS = sorted(word for word in word_tokenizer().get_vocab() if word.isalpha())


def sentences(count: int, seed: int = 0) -> list[str]:
    drawn = torch.randint(0, len(WORDS), (count, 8), generator=torch.Generator().manual_seed(seed))
    return [" ".join(WORDS[i] for i in row) for row in drawn.tolist()]


class Turning(nn.Module):
    """A block that turns the stream by a known rotation, and shifts it."""

    def __init__(self, rotation: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.rotation, self.shift = nn.Parameter(rotation), nn.Parameter(shift)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states @ self.rotation.T + self.shift


class Turned(nn.Module):
    """A generator whose blocks only turn the stream: its answer is a linear function of each block's states."""

    def __init__(self, width: int = 12, blocks: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)

        def drawn(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator)

        self.words = nn.Embedding.from_pretrained(drawn(44, width), freeze=False)
        rotations = [torch.linalg.qr(drawn(width, width))[0] for _ in range(blocks)]
        self.blocks = nn.ModuleList([Turning(rotation, 0.5 * drawn(width)) for rotation in rotations])
        self.head = nn.Linear(width, 44, bias=False)
        self.head.weight.data = drawn(44, width)
        self.config = transformers.PretrainedConfig(num_hidden_layers=blocks, pad_token_id=0)

    def get_input_embeddings(self) -> nn.Module:
        words: nn.Module = self.words
        return words

    def get_output_embeddings(self) -> nn.Module:
        head: nn.Module = self.head
        return head

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        states = self.words(input_ids)
        for block in self.blocks:
            states = block(states)
        return {"logits": self.head(states)}


@pytest.fixture(scope="module")
def turned() -> interp.TextModel:
    return interp.TextModel(Turned().eval(), word_tokenizer())


@pytest.fixture(scope="module")
def tuned(turned: interp.TextModel) -> TunedLens:
    return fit_tuned_lens(turned, sentences(60), steps=60, learning_rate=0.08, progress=False)


def test_where_blocks_turn_the_stream_the_divergence_falls_to_a_tenth(turned: Any, tuned: TunedLens) -> None:
    assert tuned.layers == ("embeddings", "blocks.0", "blocks.1")
    assert bool((tuned.before > 1).all()) and bool((tuned.after < 0.1 * tuned.before).all()), tuned
    text = sentences(1, seed=9)[0]
    plain, better = logit_lens(turned, text, progress=False), logit_lens(turned, text, lens=tuned, progress=False)
    assert bool((better.divergence[:-1].mean(1) < 0.1 * plain.divergence[:-1].mean(1)).all())
    assert float((better.rank[:-1] == 1).float().mean()) > 0.9 > float((plain.rank[:-1] == 1).float().mean())
    assert torch.allclose(better.divergence[-1], plain.divergence[-1], atol=1e-6)


def test_the_known_rotations_are_a_lens_without_divergence(turned: Any) -> None:
    """What the translators stand for: h + matrix · h + bias is what the last block gives."""
    model = turned.model
    matrix, shift = torch.eye(12), torch.zeros(12)
    matrices, biases = [], []
    for block in reversed(model.blocks):
        matrix, shift = matrix @ block.rotation.detach(), matrix @ block.shift.detach() + shift
        matrices.insert(0, matrix - torch.eye(12))
        biases.insert(0, shift)
    lens = TunedLens(
        ("embeddings", "blocks.0", "blocks.1"),
        torch.stack(matrices),
        torch.stack(biases),
        torch.ones(3),
        torch.zeros(3),
    )
    seen = logit_lens(turned, "so happy and never sad", lens=lens, progress=False)
    assert float(seen.divergence.max()) < 1e-5


MODELS: dict[str, Callable[[], interp.TextModel]] = {
    "gpt2": tiny_generator,
    "llama": tiny_llama,
    "bert": tiny_filler,
    "tagger": tiny_tagger,
}


@pytest.mark.parametrize("name", MODELS)
def test_without_steps_a_tuned_lens_is_the_logit_lens(name: str) -> None:
    model = MODELS[name]()
    tuned = fit_tuned_lens(model, sentences(4), steps=0, progress=False)
    assert torch.equal(tuned.before, tuned.after) and not tuned.matrices.any() and not tuned.biases.any()
    plain, same = (logit_lens(model, "so happy today", lens=lens, progress=False) for lens in (None, tuned))
    assert torch.equal(plain.divergence, same.divergence) and torch.equal(plain.top_ids, same.top_ids)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_learning_lowers_the_divergence_on_texts_held_out_and_changes_nothing_of_the_model(name: str) -> None:
    model = MODELS[name]()
    model.model.train()
    before = state_of(model)
    tuned = fit_tuned_lens(model, sentences(30), steps=25, learning_rate=0.01, progress=False)
    assert state_of(model) == before
    assert bool((tuned.after < tuned.before).all()), tuned
    history = tuned.history["divergence"]
    assert history[-1] < 0.9 * history[0] and tuned.history["step"][-1] == 24


def test_the_divergences_before_and_after_are_those_of_the_lens_on_the_texts_held_out() -> None:
    """Which texts these are follows from the seed; texts of several lengths count by their tokens."""
    model, texts = tiny_generator(), ["so sad", *sentences(3), "the old dog was never calm", "i feel"]
    tuned = fit_tuned_lens(model, texts, steps=5, share_held_out=0.5, seed=4, progress=False)
    held = torch.randperm(6, generator=torch.Generator().manual_seed(4))[:3].tolist()
    for lens, expected in ((None, tuned.before), (tuned, tuned.after)):
        seen = [logit_lens(model, texts[i], lens=lens, progress=False).divergence[:-1] for i in held]
        assert torch.allclose(torch.cat(seen, dim=1).mean(1), expected, atol=1e-5)
    assert "on 3 texts held out" in tuned.notes[0]


def test_a_step_goes_against_the_gradient_of_the_mean_divergence() -> None:
    """The first step of Adam moves each number by the learning rate, against the sign of its slope."""
    model, texts = tiny_generator(), ["so happy today", "i feel sad", "the sun"]
    tuned = fit_tuned_lens(model, texts, steps=1, learning_rate=1e-3, batch_size=8, progress=False)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(0)).tolist()
    bias = torch.zeros(16, requires_grad=True)
    m, total, count = model.model, torch.zeros(()), 0
    for i in order[1:]:
        out = m(model.encoder(texts[i]).ids[None], output_hidden_states=True)
        log = m.lm_head(m.transformer.ln_f(out.hidden_states[1].detach() + bias))[0].log_softmax(-1)
        own = out.logits[0].detach().log_softmax(-1)
        total, count = total + (own.exp() * (own - log)).sum(), count + len(log)
    (slope,) = torch.autograd.grad(total / count, bias)
    assert tuned.history["divergence"][0] > 0
    assert torch.allclose(tuned.biases[1], -1e-3 * slope.sign(), atol=1e-5)


def test_the_learning_rate_falls_linearly_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda adam: rates.append(adam.param_groups[0]["lr"]))
    fit_tuned_lens(tiny_generator(), sentences(3), steps=4, learning_rate=0.4, progress=False)
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_few_logits_are_held_at_once_and_the_translators_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = tiny_generator(), sentences(6)
    whole = fit_tuned_lens(model, texts, steps=3, progress=False)
    sizes: list[int] = []
    hook = model.model.lm_head.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel()))
    monkeypatch.setattr(module, "NUMBERS", 44 * 4)
    parts = fit_tuned_lens(model, texts, steps=3, progress=False)
    hook.remove()
    assert max(sizes) <= 44 * 4
    assert torch.allclose(parts.biases, whole.biases, atol=1e-4) and torch.allclose(parts.after, whole.after, atol=1e-4)


def test_a_seed_gives_the_same_translators_and_another_one_others() -> None:
    one, same, other = (
        fit_tuned_lens(tiny_generator(), sentences(20), steps=5, batch_size=4, seed=seed, progress=False)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.matrices, same.matrices) and torch.equal(one.after, same.after)
    assert not torch.allclose(one.matrices, other.matrices)


def test_half_precision_and_inference_mode_are_no_hindrance() -> None:
    model = tiny_generator()
    half = interp.TextModel(model.model.to(torch.bfloat16), model.tokenizer)
    with torch.inference_mode():
        tuned = fit_tuned_lens(half, sentences(20), steps=10, learning_rate=0.01, progress=False)
    assert tuned.matrices.dtype == torch.float32 and float(tuned.after.mean()) < float(tuned.before.mean())


def test_texts_of_several_lengths_share_passes_without_padding_in_what_is_learnt() -> None:
    texts = ["sad", "i feel so happy today and the sun was warm", "the old dog", "so calm and so good"]
    together = fit_tuned_lens(tiny_filler(), texts, steps=0, share_held_out=0.75, progress=False)
    alone = [logit_lens(tiny_filler(), text, progress=False).divergence[:-1] for text in texts]
    held = torch.randperm(4, generator=torch.Generator().manual_seed(0))[:3].tolist()
    assert torch.allclose(together.before, torch.cat([alone[i] for i in held], dim=1).mean(1), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"steps": True}, "steps is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"share_held_out": 1.0}, "share_held_out is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"lr": 0.1}, "no option 'lr'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_tuned_lens(tiny_generator(), sentences(3), progress=False, **options)


def test_models_without_a_stream_of_tokens_and_a_single_text_are_refused() -> None:
    for model in (tiny_classifier(), tiny_translator("bart")):
        with pytest.raises(UnsupportedError, match="generators with one stack"):
            fit_tuned_lens(model, sentences(3), progress=False)
    with pytest.raises(InputError, match="texts holds 1"):
        fit_tuned_lens(tiny_generator(), "so sad", progress=False)


def test_texts_that_are_cut_and_layers_that_got_worse_are_noted() -> None:
    with pytest.warns(InterpWarning, match="1 of 3 texts have more tokens"):
        cut = fit_tuned_lens(tiny_generator(), ["sad " * 50, "so sad", "happy"], steps=0, progress=False)
    assert "were cut" in cut.summary()
    with pytest.warns(InterpWarning, match="worse than none at"):
        fit_tuned_lens(tiny_generator(), ["so sad", "the sun"], steps=1, learning_rate=100, progress=False)


# The value


def test_a_tuned_lens_is_the_same_after_saving(tuned: TunedLens, turned: Any, tmp_path: Path) -> None:
    again = TunedLens.load(tuned.save(tmp_path / "kept" / "tuned.safetensors"))
    assert json.dumps(again.to_json()) == json.dumps(tuned.to_json()) and again.summary() == tuned.summary()
    assert repr(again) == repr(tuned) and len(repr(tuned)) <= 200 and "<table" in tuned._repr_html_()
    seen = [logit_lens(turned, "so sad", lens=lens, progress=False).divergence for lens in (tuned, again)]
    assert torch.equal(*seen)
    assert dict(again.columns())["layer"] == again.layers and again.made_by.parameters["steps"] == 60
    assert again.made_by.package == "interp-tuned-lens" and again.made_by.cost.backwards == 0
    assert list(again.to_dataframe().columns) == ["layer", "before", "after"]


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tuned-lens' was expected"):
        TunedLens.load(save_tensors(tmp_path / "other.safetensors", "lens", {"rank": torch.ones(1)}, {}))
    with pytest.raises(InputError, match="holds no 'matrices'"):
        TunedLens.load(save_tensors(tmp_path / "damaged.safetensors", "tuned-lens", {"after": torch.ones(1)}, {}))


def test_a_lens_of_another_model_is_refused_or_noted(tuned: TunedLens) -> None:
    with pytest.raises(InputError, match=r"for Turned and has the layer 'blocks\.0', which GPT2LMHeadModel has not"):
        logit_lens(tiny_generator(), "so sad", lens=tuned, progress=False)
    with pytest.raises(InputError, match=r"no layer 'blocks\.2'"):
        tuned.translated("blocks.2", torch.zeros(1, 12))
    with pytest.raises(InputError, match="of width 3, and this tuned lens of 12"):
        tuned.translated("embeddings", torch.zeros(1, 3))
    near = TunedLens(
        ("embeddings",),
        torch.zeros(1, 16, 16),
        torch.zeros(1, 16),
        torch.zeros(1),
        torch.zeros(1),
        {},
        MadeBy("x", model="gpt"),
    )
    with pytest.warns(InterpWarning, match="learnt on gpt, and the model is GPT2LMHeadModel"):
        logit_lens(tiny_generator(), "so sad", layers="embeddings", lens=near, progress=False)


def test_the_command_line_reads_with_a_tuned_lens(tmp_path: Path) -> None:
    folder = saved(tiny_generator(), tmp_path / "tiny-lm")
    model = interp.load(folder)
    tuned = fit_tuned_lens(model, sentences(5), steps=5, progress=False)
    file = tuned.save(tmp_path / "tuned.safetensors")
    told = CliRunner().invoke(main, ["lens", str(folder), "so happy", "--lens", str(file), "--json"])
    assert told.exit_code == 0, told.output
    python = logit_lens(model, "so happy", lens=tuned, progress=False)
    assert json.loads(told.stdout)["divergence"] == python.to_json()["divergence"]
    assert json.loads(told.stdout)["made_by"]["method"] == "tuned-lens"


# Real models


@pytest.mark.real
@pytest.mark.slow
def test_a_real_model_is_read_better_at_every_layer(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model, texts = real_model("lm-tiny"), real_texts("emotion", split="train")[:100]
    tuned = fit_tuned_lens(model, texts, steps=50, progress=False)
    assert bool((tuned.after < tuned.before).all()), tuned
    assert float(tuned.after.mean()) < 0.5 * float(tuned.before.mean()), tuned
    text = real_texts("emotion")[0]
    plain, better = (logit_lens(model, text, lens=lens, progress=False) for lens in (None, tuned))
    assert float(better.divergence[:-1].mean()) < float(plain.divergence[:-1].mean())
