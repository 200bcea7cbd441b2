"""The logit lens: what plain transformers gives for the states of each block, whatever the family."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interp_core as interp
import interp_logit_lens.logit_lens as module
import pytest
import torch
import transformers
from click.testing import CliRunner
from interp_core.cli import main
from interp_core.errors import InputError, InterpWarning, LayerError, ModelError, UnsupportedError
from interp_core.results import MadeBy
from interp_core.testing import (
    planted_model,
    state_of,
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
    word_tokenizer,
)
from interp_logit_lens.distributions import divergence, reading
from interp_logit_lens.lens import Lens
from interp_logit_lens.logit_lens import logit_lens
from saved_models import saved
from torch import Tensor

TEXT = "i feel so happy today and never [MASK]"
WORDS = 44


def made(maker: Any, config: Any, dtype: torch.dtype = torch.float32) -> interp.TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = maker(config)
    return interp.TextModel(model.to(dtype).eval(), word_tokenizer())


SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}


def gemma2(dtype: torch.dtype = torch.float32, **more: Any) -> interp.TextModel:
    """Embeddings that are scaled, a norm with an offset, and logits that are capped, hard."""
    own = {"num_key_value_heads": 1, "head_dim": 8, "final_logit_softcapping": 2.0, "initializer_range": 0.5}
    config = transformers.Gemma2Config(**{**SIZES, **own, **more})
    return made(transformers.Gemma2ForCausalLM, config, dtype)


def opt(before: bool = True) -> interp.TextModel:
    """Embeddings and logits of another width than the blocks."""
    own = {"ffn_dim": 32, "word_embed_proj_dim": 8, "init_std": 0.5, "do_layer_norm_before": before}
    return made(transformers.OPTForCausalLM, transformers.OPTConfig(**{**SIZES, **own}))


def bloom() -> interp.TextModel:
    """A norm between the embeddings and the first block."""
    config = transformers.BloomConfig(vocab_size=WORDS, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.5)
    return made(transformers.BloomForCausalLM, config)


def neox() -> interp.TextModel:
    """A head of its own, not that of the embeddings."""
    return made(
        transformers.GPTNeoXForCausalLM,
        transformers.GPTNeoXConfig(**SIZES, initializer_range=0.5, tie_word_embeddings=False),
    )


def albert() -> interp.TextModel:
    """One block that runs three times."""
    own = {"embedding_size": 8, "initializer_range": 0.5}
    return made(transformers.AlbertForMaskedLM, transformers.AlbertConfig(**{**SIZES, **own}))


def gpt2_head(m: Any, h: Tensor) -> Tensor:
    return m.lm_head(m.transformer.ln_f(h))


def llama_head(m: Any, h: Tensor) -> Tensor:
    return m.lm_head(m.model.norm(h))


def bert_head(m: Any, h: Tensor) -> Tensor:
    transform = m.cls.predictions.transform
    changed = transform.LayerNorm(transform.transform_act_fn(transform.dense(h)))
    return changed @ m.bert.embeddings.word_embeddings.weight.T + m.cls.predictions.bias


def gemma2_head(m: Any, h: Tensor) -> Tensor:
    cap = m.config.final_logit_softcapping
    return cap * torch.tanh(m.lm_head(m.model.norm(h)) / cap)


def opt_head(m: Any, h: Tensor) -> Tensor:
    decoder = m.model.decoder
    normed = h if decoder.final_layer_norm is None else decoder.final_layer_norm(h)
    return m.lm_head(decoder.project_out(normed))


def neox_head(m: Any, h: Tensor) -> Tensor:
    return m.get_output_embeddings()(m.gpt_neox.final_layer_norm(h))


def albert_head(m: Any, h: Tensor) -> Tensor:
    head = m.predictions
    return head.decoder(head.LayerNorm(head.activation(head.dense(h))))


def tagger_head(m: Any, h: Tensor) -> Tensor:
    return m.classifier(h)


def classifier_head(m: Any, h: Tensor) -> Tensor:
    return m.classifier(torch.tanh(m.bert.pooler.dense(h[:, :1])))


Head = Callable[[Any, Tensor], Tensor]
FAMILIES: dict[str, tuple[Callable[[], interp.TextModel], Head]] = {
    "gpt2": (tiny_generator, gpt2_head),
    "gpt2 with a head of its own": (lambda: tiny_generator(tie_word_embeddings=False), gpt2_head),
    "llama": (tiny_llama, llama_head),
    "llama with a tied head": (lambda: tiny_llama(tie_word_embeddings=True), llama_head),
    "bert": (tiny_filler, bert_head),
    "gemma2": (gemma2, gemma2_head),
    "opt": (opt, opt_head),
    "opt, norms behind": (lambda: opt(before=False), opt_head),
    "bloom": (bloom, gpt2_head),
    "neox": (neox, neox_head),
    "albert": (albert, albert_head),
    "tagger": (tiny_tagger, tagger_head),
    "classifier": (tiny_classifier, classifier_head),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_layer_says_what_the_head_of_plain_transformers_says_of_its_states(name: str) -> None:
    make, head = FAMILIES[name]
    model = make()
    seen = logit_lens(model, TEXT, progress=False)
    with torch.no_grad():
        ids = model.encoder(TEXT).ids[None]
        inside = _states(model.model, ids, seen.layers)
        own = model.model(ids).logits.reshape(len(seen.tokens), -1).log_softmax(-1)
        for i, states in enumerate(inside):
            log = head(model.model, states)[0].log_softmax(-1)
            best = log.topk(min(5, log.shape[-1]))
            assert torch.allclose(seen.top_probabilities[i], best.values.exp(), atol=1e-5)
            assert torch.equal(seen.top_ids[i, :, 0], best.indices[:, 0])
            kl = (own.exp() * (own - log)).sum(-1)
            assert torch.allclose(seen.divergence[i], kl, atol=1e-4, rtol=1e-4)
            assert torch.allclose(seen.entropy[i], -(log.exp() * log).sum(-1), atol=1e-4)
            answer = log.gather(-1, own.argmax(-1, keepdim=True))
            assert torch.allclose(seen.probability[i], answer.exp()[:, 0], atol=1e-5)
            assert torch.equal(seen.rank[i], 1 + (log > answer).sum(-1))
    assert torch.equal(seen.answers, own.argmax(-1))
    assert torch.allclose(seen.answer_probabilities, own.max(-1).values.exp(), atol=1e-6)


def _states(model: Any, ids: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
    """What enters the first block and what each block gives, by hooks of our own."""
    states: list[Tensor] = []
    first, *others = (path.partition("@")[0] for path in layers[1:])
    hooks = [
        model.get_submodule(first).register_forward_pre_hook(
            lambda _m, args, kwargs: states.append((args or (kwargs["hidden_states"],))[0]), with_kwargs=True
        )
    ]
    for path in dict.fromkeys([first, *others]):
        module_ = model.get_submodule(path)
        hooks.append(module_.register_forward_hook(lambda _m, _i, o: states.append(o[0] if type(o) is tuple else o)))
    model(ids)
    for hook in hooks:
        hook.remove()
    if "@" in layers[1]:  # one block that runs several times: in and out in turn
        return [states[0], *states[1::2]]
    return states


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_block_gives_the_models_own_output(name: str) -> None:
    seen = logit_lens(FAMILIES[name][0](), TEXT, layers=-1, progress=False)
    assert float(seen.divergence.max()) < 1e-6 and bool((seen.rank == 1).all())
    assert torch.allclose(seen.probability[0], seen.answer_probabilities, atol=1e-6)


@pytest.mark.parametrize("make", [gemma2, tiny_generator, tiny_filler], ids=["gemma2", "gpt2", "bert"])
def test_in_half_precision_the_last_block_still_gives_the_models_own_output(make: Any) -> None:
    model = make()
    half = interp.TextModel(model.model.to(torch.bfloat16), model.tokenizer)
    seen = logit_lens(half, TEXT, progress=False)
    assert float(seen.divergence[-1].max()) < 1e-6 and seen.divergence.dtype == torch.float32


def test_capped_logits_are_capped_at_each_layer() -> None:
    """No probability can be further from another than the cap allows."""
    capped = logit_lens(gemma2(final_logit_softcapping=0.1), TEXT, progress=False)
    assert float(capped.entropy.min()) > math.log(WORDS) - 0.2
    free = logit_lens(gemma2(final_logit_softcapping=None), TEXT, progress=False)
    assert float(free.entropy.min()) < math.log(WORDS) - 1


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_of_a_translator_the_decoder_is_read(kind: str) -> None:
    model = tiny_translator(kind)
    seen = logit_lens(model, "so happy", continuation="good day", progress=False)
    encoded = model.encoder.with_continuation("so happy", "good day")
    m, source = model.model, encoded.source
    with torch.no_grad():
        out = m(
            input_ids=encoded.ids[None, :source],
            decoder_input_ids=encoded.ids[None, source:],
            output_hidden_states=True,
        )
        own = out.logits[0].log_softmax(-1)
        for i, states in enumerate(out.decoder_hidden_states[:-1]):
            if kind == "bart":
                logits = m.lm_head(states) + m.final_logits_bias
            else:
                scale = m.model_dim**-0.5 if m.config.tie_word_embeddings else 1.0
                logits = m.lm_head(m.decoder.final_layer_norm(states) * scale)
            log = logits[0].log_softmax(-1)
            assert torch.allclose(seen.divergence[i], (own.exp() * (own - log)).sum(-1), atol=1e-4, rtol=1e-4)
    assert float(seen.divergence[-1].max()) < 1e-6
    assert len(seen.layers) == 3 and len(seen.tokens) == len(encoded) - source
    assert len(logit_lens(model, "so happy", progress=False).tokens) == 1  # with which the decoder starts


# The numbers


def test_numbers_of_a_known_distribution() -> None:
    final = torch.tensor([[0.5, 0.375, 0.125, 0.0]]).log()
    found = reading(torch.tensor([[0.25, 0.5, 0.25, 0.0]]).log(), final, top=2)
    assert found.divergence.item() == pytest.approx(0.375 * math.log(2) + 0.375 * math.log(0.75))
    assert found.entropy.item() == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(2))
    assert found.rank.item() == 2 and found.probability.item() == pytest.approx(0.25)  # a tie is not likelier
    assert found.top_ids.tolist()[0][0] == 1 and found.top_probabilities[0, 0].item() == pytest.approx(0.5)


def test_divergence_is_of_the_model_from_the_layer_and_infinite_where_that_holds_the_possible_impossible() -> None:
    certain, uniform = torch.tensor([[1.0, 0.0]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert divergence(certain, uniform).item() == pytest.approx(math.log(2))
    assert divergence(uniform, certain).item() == math.inf
    assert divergence(certain, certain).item() == 0


def test_a_lens_that_says_infinity_is_json_with_a_note() -> None:
    seen = logit_lens(tiny_generator(), "so sad", progress=False)
    seen.divergence[0, 0] = math.inf
    said = json.loads(json.dumps(seen.to_json(), allow_nan=False))
    assert said["divergence"][0][0] is None and any("infinite" in note for note in said["notes"])


# Memory


@pytest.mark.parametrize("numbers", [1, WORDS, 3 * WORDS, 20 * WORDS])
def test_few_logits_are_held_at_once_and_the_result_is_the_same(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_generator(n_layer=4)
    whole = logit_lens(model, TEXT, progress=False)
    sizes: list[int] = []
    hook = model.model.lm_head.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel()))
    monkeypatch.setattr(module, "NUMBERS", numbers)
    parts = logit_lens(model, TEXT, progress=False)
    hook.remove()
    assert max(sizes) <= max(WORDS, numbers)
    assert torch.equal(parts.top_ids, whole.top_ids) and torch.equal(parts.rank, whole.rank)
    assert torch.allclose(parts.divergence, whole.divergence, atol=1e-5)


# What can be asked


def test_layers_are_named_by_number_or_path_and_come_in_their_order() -> None:
    model = tiny_generator(n_layer=3)
    every = logit_lens(model, "so sad", progress=False)
    some = logit_lens(model, "so sad", layers=[-1, "embeddings", "transformer.h.1"], progress=False)
    assert some.layers == ("embeddings", "transformer.h.1", "transformer.h.2")
    assert torch.allclose(some.divergence, every.divergence[[0, 2, 3]], atol=1e-6)
    assert logit_lens(model, "so sad", layers=0, progress=False).layers == ("transformer.h.0",)
    assert logit_lens(model, "so sad", layers="embeddings", progress=False).layers == ("embeddings",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": [7]}, "no layer 7; .* the blocks 0 to 1"),
        ({"layers": [True]}, "no layer True"),
        ({"layers": "lm_head"}, "no layer 'lm_head'"),
        ({"layers": []}, "in a list were expected"),
        ({"layers": [1, -1]}, "named twice"),
        ({"top": 0}, "top is 0"),
        ({"top": True}, "top is True"),
        ({"lens": "tuned"}, "lens is str"),
        ({"top_k": 3}, "no option 'top_k'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        logit_lens(tiny_generator(), "so sad", progress=False, **options)


@pytest.mark.usefixtures("unchecked")
def test_only_a_text_and_a_model_that_chooses_are_taken() -> None:
    with pytest.raises(InputError, match="a text is int"):
        logit_lens(tiny_generator(), 3, progress=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is empty"):
        logit_lens(tiny_generator(), " ", progress=False)
    with pytest.raises(InputError, match="TextModel was expected"):
        logit_lens(tiny_generator().model, "so sad", progress=False)
    for model in (tiny_extractor(), tiny_classifier(problem_type="multi_label_classification")):
        with pytest.raises(UnsupportedError, match="chooses one of several"):
            logit_lens(model, "so sad", progress=False)
    with pytest.raises(LayerError, match="blocks"):
        logit_lens(planted_model({"sad": (1.0, 0.0)}), "so sad", progress=False)
    with pytest.raises(InputError, match="does not go on"):
        logit_lens(tiny_filler(), "so sad", continuation="today", progress=False)


def test_a_classifier_with_two_stacks_is_refused() -> None:
    config = tiny_translator("bart").model.config
    two = made(transformers.BartForSequenceClassification, config)
    with pytest.raises(UnsupportedError, match="not one stream"):
        logit_lens(two, "so sad", progress=False)


def test_pairs_have_their_types_and_chats_their_template() -> None:
    model = tiny_filler()
    pair = ("so happy", "never sad")
    encoded = model.encoder(pair)
    seen = logit_lens(model, pair, progress=False)
    with torch.no_grad():
        own = model.model(encoded.ids[None], token_type_ids=encoded.types[None]).logits[0]
    assert torch.equal(seen.answers, own.argmax(-1)) and "never" in seen.tokens
    chatty = tiny_generator()
    chatty.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}and"
    talk = [{"role": "user", "content": "so sad"}]
    assert logit_lens(chatty, talk, progress=False).tokens == ("so", "sad", "and")


def test_a_continuation_goes_on_behind_the_prompt() -> None:
    seen = logit_lens(tiny_generator(), "i feel", continuation=" so sad", progress=False)
    assert seen.tokens == ("[CLS]", "i", "feel", "so", "sad")


def test_a_text_that_is_too_long_is_cut_with_a_note() -> None:
    with pytest.warns(InterpWarning, match="20 tokens are beyond"):
        seen = logit_lens(tiny_generator(), "sad " * 50, progress=False)
    assert len(seen.tokens) == 32 and "20 tokens" in seen.summary()


def test_a_text_of_one_token_and_one_of_a_token_again_and_again() -> None:
    model = tiny_generator()
    model.tokenizer.backend_tokenizer.post_processor = None
    one, same = (logit_lens(model, text, progress=False) for text in ("sad", "sad sad sad"))
    assert one.tokens == ("sad",) and len(one.layers) == 3
    assert same.tokens == ("sad",) * 3 and torch.allclose(same.divergence[:, :1], one.divergence, atol=1e-5)


def test_embeddings_that_know_of_other_tokens_are_left_out() -> None:
    """XLM has no module for a block: what stands for the first begins behind attention."""
    config = transformers.XLMConfig(
        vocab_size=WORDS, emb_dim=16, n_layers=2, n_heads=2, max_position_embeddings=32, pad_index=0, init_std=0.5
    )
    model = made(transformers.XLMWithLMHeadModel, config)
    with pytest.warns(InterpWarning, match="could not be told"):
        seen = logit_lens(model, TEXT, progress=False)
    assert len(seen.layers) == 2 and float(seen.divergence[-1].max()) < 1e-6
    with pytest.raises(UnsupportedError, match="Leave 'embeddings' out"):
        logit_lens(model, TEXT, layers=["embeddings"], progress=False)


def test_blocks_that_give_nan_are_told() -> None:
    model = tiny_generator()
    with torch.no_grad():
        model.model.transformer.h[0].mlp.c_proj.bias.fill_(math.nan)
    with pytest.raises(ModelError, match=r"NaN.*h\.0\.mlp\.c_proj\.bias"):
        logit_lens(model, "so sad", progress=False)


def test_embeddings_without_a_token_are_shown_by_their_number() -> None:
    seen = logit_lens(tiny_generator(vocab_size=WORDS + 20), "so sad", top=WORDS + 20, progress=False)
    assert seen.words[WORDS + 19] == f"<{WORDS + 19}>" and seen.words[5] == "i"


def test_nothing_of_the_model_changes() -> None:
    for make in (tiny_generator, tiny_filler, albert, lambda: tiny_translator("t5")):
        model = make()
        model.model.train()
        before = state_of(model)
        logit_lens(model, "so happy today", progress=False)
        assert state_of(model) == before


def test_gradients_may_be_off_or_the_model_in_inference() -> None:
    model = tiny_generator()
    plain = logit_lens(model, "so sad", progress=False)
    with torch.inference_mode():
        assert torch.equal(logit_lens(model, "so sad", progress=False).divergence, plain.divergence)


class Doubled:
    """Translators that are known: twice the state."""

    made_by = MadeBy("doubled", source="nowhere")

    def notes_on(self, model: Any) -> tuple[str, ...]:
        return ()

    def translated(self, layer: str, states: Any) -> Any:
        assert layer in ("embeddings", "transformer.h.0")
        return 2 * states


def test_translators_are_applied_below_the_last_block_alone() -> None:
    model = tiny_generator()
    seen = logit_lens(model, TEXT, lens=Doubled(), progress=False)
    with torch.no_grad():
        out = model.model(model.encoder(TEXT).ids[None], output_hidden_states=True)
        own = out.logits[0].log_softmax(-1)
        for i in (0, 1):
            log = gpt2_head(model.model, 2 * out.hidden_states[i])[0].log_softmax(-1)
            assert torch.allclose(seen.divergence[i], (own.exp() * (own - log)).sum(-1), atol=1e-4, rtol=1e-4)
    assert float(seen.divergence[2].max()) < 1e-6
    assert seen.made_by.settings["lens"]["method"] == "doubled" and seen.made_by.source == "nowhere"


# The value


@pytest.fixture(scope="module")
def seen() -> Lens:
    return logit_lens(tiny_generator(), "so happy today", top=3, progress=False)


def test_a_lens_is_the_same_after_saving(seen: Lens, tmp_path: Path) -> None:
    again = Lens.load(seen.save(tmp_path / "kept" / "lens.safetensors"))
    assert again.to_json() == seen.to_json() and again.summary() == seen.summary() and repr(again) == repr(seen)
    assert again.columns() == seen.columns() and again.top(0, 1) == seen.top(0, 1)
    with pytest.raises(InputError, match=r"does not end in \.safetensors"):
        seen.save(tmp_path / "lens.txt")


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        Lens.load(tmp_path / "lens.safetensors")
    from interp_core.results import save_tensors

    with pytest.raises(InputError, match="'lens' was expected"):
        Lens.load(save_tensors(tmp_path / "other.safetensors", "codes", {"rank": torch.ones(1)}, {}))
    with pytest.raises(InputError, match="holds no 'answers'"):
        Lens.load(save_tensors(tmp_path / "damaged.safetensors", "lens", {"rank": torch.ones(1)}, {}))


def test_a_lens_is_a_table_with_a_row_for_each_layer_and_token(seen: Lens) -> None:
    columns = seen.columns()
    assert {len(column) for column in columns.values()} == {3 * 5}
    assert columns["layer"][5] == "transformer.h.0" and columns["token"][6] == "so" == seen.tokens[1]
    assert columns["divergence"][6] == seen.divergence[1, 1].item()
    assert columns["likeliest"][6] == seen.top(1, "so")[0][0]
    assert columns["answer"][10:] == columns["likeliest"][10:] == list(seen.answer)


def test_a_lens_is_shown_in_few_words(seen: Lens) -> None:
    assert repr(seen).startswith("Lens(3 layers, 5 tokens of 'so happy today', divergence") and len(repr(seen)) <= 200
    lines = seen.summary().splitlines()
    assert lines[2].startswith("transformer.h.1") and "100%" in lines[2] and lines[4].startswith("embeddings")
    assert "today" in lines[1] and "<table" in seen._repr_html_()
    assert seen.made_by.package == "interp-logit-lens" and seen.made_by.cost.forwards > 0
    long = logit_lens(tiny_generator(), "so happy " * 10, progress=False)
    assert max(map(len, long.summary().splitlines())) < 200


def test_the_likeliest_come_with_their_probabilities_likeliest_first(seen: Lens) -> None:
    best = seen.top(-1, -1)
    assert len(best) == 3 and [p for _, p in best] == sorted((p for _, p in best), reverse=True)
    assert best[0] == (seen.answer[-1], seen.answer_probabilities[-1].item())
    with pytest.raises(InputError, match="no layer 'h'"):
        seen.top("h", 0)
    with pytest.raises(InputError, match="no token 9"):
        seen.top(0, 9)


def test_a_classifier_answers_once_with_its_classes() -> None:
    one = logit_lens(tiny_classifier(), "so happy", progress=False)
    assert one.tokens == ("(text)",) and set(one.words.values()) == {"LABEL_0", "LABEL_1", "LABEL_2"}
    assert one.top_ids.shape == (3, 1, 3)


# The command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = saved(tiny_generator(), tmp_path_factory.mktemp("lens") / "tiny-lm")
    return path


def test_the_command_prints_saves_and_writes_what_python_gives(folder: Path, tmp_path: Path) -> None:
    asked = ["lens", str(folder), "so happy today", "--top", "2", "--layer", "-1", "--layer", "embeddings"]
    told = CliRunner().invoke(
        main, [*asked, "--json", "--save", str(tmp_path / "kept"), "--csv", str(tmp_path / "t.csv")]
    )
    assert told.exit_code == 0, told.output
    python = logit_lens(interp.load(folder), "so happy today", layers=["embeddings", -1], top=2, progress=False)
    said = json.loads(told.stdout)
    assert said["top"] == python.to_json()["top"] and said["divergence"] == python.to_json()["divergence"]
    assert Lens.load(tmp_path / "kept" / "0000-lens.safetensors").layers == python.layers
    assert (tmp_path / "t.csv").read_text() == python.to_csv()
    plain = CliRunner().invoke(main, [*asked, "--quiet"])
    assert plain.exit_code == 0 and "transformer.h.1" in plain.stdout and plain.stderr == ""


def test_the_command_refuses_in_a_line(folder: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["lens", str(folder), "so sad", "--layer", "9"])
    assert told.exit_code == 1 and "interp: there is no layer 9" in told.stderr
    for options, said in (
        (["--save", str(folder)], "is not empty"),
        (["--device", "nowhere"], "cannot run on 'nowhere'"),
        (["--lens", str(folder / "config.json")], "config.json"),
    ):
        told = CliRunner().invoke(main, ["lens", str(folder), "so sad", *options])
        assert told.exit_code == 1 and said in told.stderr, told.output


# Real models


@pytest.mark.real
@pytest.mark.parametrize("name", ["lm-tiny", "llama-tiny"])
def test_a_real_model_comes_nearer_to_its_answer_from_block_to_block(
    name: str, real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model, head = real_model(name), {"lm-tiny": gpt2_head, "llama-tiny": llama_head}[name]
    means = []
    for text in real_texts("emotion" if name == "lm-tiny" else "banking77")[:5]:
        seen = logit_lens(model, text, progress=False)
        assert float(seen.divergence[-1].max()) < 1e-5 and bool((seen.rank[-1] == 1).all())
        with torch.no_grad():
            ids = model.encoder(text).ids[None].to(model.device)
            out = model.model(ids, output_hidden_states=True)
            own = out.logits[0].log_softmax(-1)
            for i, states in enumerate(out.hidden_states[:-1]):
                log = head(model.model, states)[0].log_softmax(-1)
                kl = (own.exp() * (own - log)).sum(-1).cpu()
                assert torch.allclose(seen.divergence[i], kl, atol=1e-3, rtol=1e-3)
        means.append(seen.divergence.mean(1))
    mean = torch.stack(means).mean(0)
    assert bool((mean[2:].diff() < 0).all()), mean
