"""What components write to a logit, held to parts written out in plain PyTorch, and added up in many architectures."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import BudgetError, InterpWarning, UnsupportedError
from interp_core.testing import (
    contract_tests,
    state_of,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_translator,
    word_tokenizer,
)
from torch import Tensor

test_contract = contract_tests("direct-effect")

TEXT, OTHER, TARGET = "i feel so happy", "a dog was sad", " today"
pytestmark = pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")


def stirred(model: interp.TextModel) -> interp.TextModel:
    """The model with random biases and norms, which start at 0 and 1."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.model.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model


def explained(model: interp.TextModel, reference: str = "zero", **options: Any) -> interp.Attribution:
    options = {"over": "components", "targets": TARGET, "score": "logit", **options}
    (found,) = interp.attribute(model, TEXT, by="direct-effect", reference=reference, progress=False, **options)
    return found


def constants(found: interp.Attribution) -> Tensor:
    """The constant that the note names for each target."""
    (note,) = (one for one in found.notes if "a constant (" in one)
    named = note.partition("a constant (")[2].partition(")")[0]
    return torch.tensor([float(number) for number in re.findall(r"[+-]\d+\.\d+", named)])


def states(model: Any, ids: Tensor, modules: dict[str, tuple[Any, str]]) -> dict[str, Tensor]:
    """What some modules are given ("in") or give ("out") at the last token but one, where the target is predicted."""
    seen: dict[str, Tensor] = {}

    def hook(name: str, side: str) -> Callable[..., None]:
        def keep(_module: Any, inputs: Any, output: Any) -> None:
            held = inputs[0] if side == "in" else output
            seen[name] = (held[0] if isinstance(held, tuple) else held)[0, -2].clone()

        return keep

    handles = [module.register_forward_hook(hook(name, side)) for name, (module, side) in modules.items()]
    with torch.no_grad():
        model(input_ids=ids[None])
    for handle in handles:
        handle.remove()
    return seen


def gpt_parts(model: Any, ids: Tensor, target: int) -> dict[str, Tensor]:
    """For each component a function value: its part of the logit, by the weights of GPT-2."""
    body, heads = model.transformer, model.config.n_head
    modules: dict[str, tuple[Any, str]] = {"embeddings": (body.drop, "out"), "final": (body.ln_f, "in")}
    for i, block in enumerate(body.h):
        modules |= {f"L{i}.attn": (block.attn.c_proj, "in"), f"L{i}.MLP": (block.mlp.c_proj, "out")}
    seen = states(model, ids, modules)
    deviation = (seen["final"].var(unbiased=False) + body.ln_f.eps).sqrt()
    column = model.lm_head.weight[target] * body.ln_f.weight / deviation

    def part(written: Tensor) -> Tensor:
        return (written - written.mean()) @ column

    found = {"embeddings": part(seen["embeddings"])}
    for i, block in enumerate(body.h):
        width = len(column) // heads
        for h in range(heads):
            own = slice(h * width, (h + 1) * width)
            found[f"L{i}.H{h}"] = part(seen[f"L{i}.attn"][own] @ block.attn.c_proj.weight[own])
        found[f"L{i}.MLP"] = part(seen[f"L{i}.MLP"])
    return found


def llama_parts(model: Any, ids: Tensor, target: int) -> dict[str, Tensor]:
    """As above, by the weights of LLaMA."""
    body, heads = model.model, model.config.num_attention_heads
    modules: dict[str, tuple[Any, str]] = {"embeddings": (body.embed_tokens, "out"), "final": (body.norm, "in")}
    for i, block in enumerate(body.layers):
        modules |= {f"L{i}.attn": (block.self_attn.o_proj, "in"), f"L{i}.MLP": (block.mlp, "out")}
    seen = states(model, ids, modules)
    size = (seen["final"].square().mean() + body.norm.variance_epsilon).sqrt()
    column = model.lm_head.weight[target] * body.norm.weight / size
    found = {"embeddings": seen["embeddings"] @ column}
    for i, block in enumerate(body.layers):
        width = block.self_attn.o_proj.in_features // heads
        for h in range(heads):
            own = slice(h * width, (h + 1) * width)
            found[f"L{i}.H{h}"] = block.self_attn.o_proj.weight[:, own] @ seen[f"L{i}.attn"][own] @ column
        found[f"L{i}.MLP"] = seen[f"L{i}.MLP"] @ column
    return found


MAKERS = [(tiny_generator, gpt_parts), (tiny_llama, llama_parts)]


@pytest.mark.parametrize(("make", "parts"), MAKERS)
@pytest.mark.parametrize("reference", ["zero", OTHER])
def test_scores_are_the_parts_written_out(make: Any, parts: Any, reference: str) -> None:
    model = stirred(make())
    found = explained(model, reference)
    ids, target = found.encoded.ids, found.targets[0].index
    with torch.no_grad():
        expected = parts(model.model, ids, target)
        if reference != "zero":  # the other text through the norm of this one
            assert found.encoded.other is not None
            continued = found.encoded.other.ids
            expected = {
                name: expected[name] - other for name, other in held(model, parts, ids, continued, target).items()
            }
    named = dict(zip(found.words, found.scores[0].tolist(), strict=True))
    assert named.keys() == expected.keys()
    for name, value in expected.items():
        assert named[name] == pytest.approx(float(value), rel=1e-4, abs=1e-5), name


def held(model: interp.TextModel, parts: Any, ids: Tensor, other: Tensor, target: int) -> dict[str, Tensor]:
    """The parts of another text, with the scale of the last norm as in the first."""
    final = model.model.transformer.ln_f if parts is gpt_parts else model.model.model.norm

    def size(of: Tensor) -> Tensor:
        state = states(model.model, of, {"final": (final, "in")})["final"]
        spread = (
            state.var(unbiased=False) + final.eps
            if parts is gpt_parts
            else state.square().mean() + final.variance_epsilon
        )
        return spread.sqrt()

    ratio = size(other) / size(ids)
    return {name: value * ratio for name, value in parts(model.model, other, target).items()}


CONFIGS: dict[str, dict[str, Any]] = {
    "GPT2": {},
    "Llama": {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True},
    "Qwen2": {"num_key_value_heads": 1},
    "GPTNeoX": {"use_parallel_residual": True},
    "GPTJ": {"n_inner": 32, "rotary_dim": 4},
    "Phi": {},
    "Gemma": {"head_dim": 8, "num_key_value_heads": 1},
    "Gemma2": {"head_dim": 8, "num_key_value_heads": 1, "query_pre_attn_scalar": 8, "final_logit_softcapping": None},
    "Bloom": {},
    "Falcon": {"new_decoder_architecture": True, "num_kv_heads": 1},
    "Cohere": {"num_key_value_heads": 1, "logit_scale": 0.3},
    "Olmo2": {"num_key_value_heads": 1},
    "Granite": {"residual_multiplier": 0.5, "logits_scaling": 2.0, "embedding_multiplier": 3.0},
    "StableLm": {"num_key_value_heads": 1},
}


def small(family: str, **more: Any) -> interp.TextModel:
    """A decoder of a family of transformers, with random biases and norms."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    gpt = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    limits = {"vocab_size": len(word_tokenizer()), "max_position_embeddings": 32, "initializer_range": 0.5}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    own = gpt if family in ("GPT2", "GPTJ") else sizes
    config = getattr(transformers, f"{family}Config")(**own, **limits, **ids, **{**CONFIGS[family], **more})
    kind = getattr(transformers, f"{family}LMHeadModel", None) or getattr(transformers, f"{family}ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return stirred(interp.TextModel(kind(config).eval(), word_tokenizer()))


@pytest.mark.parametrize("family", CONFIGS)
def test_scores_and_biases_add_up_to_the_logit(family: str) -> None:
    """The constant is computed from the weights with nothing written, not as what is left."""
    model = small(family)
    for reference in ("zero", OTHER):
        found = explained(model, reference)
        assert not any("miss" in note or "caps" in note for note in found.notes)
        assert float(found.scores.abs().max()) > 0.01
        total = found.scores.sum(1) + constants(found)
        assert torch.allclose(total, found.intact, rtol=1e-4, atol=2e-4), (family, reference)


@pytest.mark.parametrize("make", [lambda: tiny_translator("t5"), lambda: tiny_translator("bart")])
def test_a_decoder_behind_an_encoder_adds_up_and_the_encoder_writes_nothing_to_it(make: Any) -> None:
    found = explained(stirred(make()))
    assert torch.allclose(found.scores.sum(1) + constants(found), found.intact, rtol=1e-4, atol=2e-4)
    of_encoder = torch.tensor([name.startswith("E") for name in found.words])
    assert not found.scores[:, of_encoder].any() and found.scores[:, ~of_encoder].all()


def test_parts_of_the_components_are_those_of_all_of_them() -> None:
    """Heads alone, at each token, MLPs and blocks are the same numbers, and what is not asked about is said."""
    model = stirred(tiny_llama())
    every = dict(zip((all_ := explained(model)).words, all_.scores[0].tolist(), strict=True))
    heads, mlps, by_position = (explained(model, over=over) for over in ("heads", "mlps", "heads-by-position"))
    for some in (heads, mlps):
        assert some.scores[0].tolist() == pytest.approx([every[name] for name in some.words], abs=1e-6)
        (note,) = some.notes
        assert "what other components write" in note
    tokens = len(by_position.encoded.ids)
    assert torch.allclose(by_position.scores.reshape(-1, tokens).sum(1), heads.scores[0], atol=1e-6)
    blocks = dict(zip((b := explained(model, over="blocks")).words, b.scores[0].tolist(), strict=True))
    assert blocks["L0"] == pytest.approx(sum(every[f"L0.{name}"] for name in ("H0", "H1", "MLP")), abs=1e-5)


def test_a_contrast_is_the_difference_of_two_logits() -> None:
    model = stirred(tiny_generator())
    one, other = (explained(model, targets=word).scores for word in (" today", " sad"))
    both = explained(model, targets=interp.contrast(" today", " sad"))
    assert torch.allclose(both.scores, one - other, atol=1e-5)


def test_a_cap_behind_the_vocabulary_head_is_left_out_and_said() -> None:
    model = small("Gemma2", final_logit_softcapping=2.0)
    found = explained(model)
    assert any("caps its logits" in note for note in found.notes)
    uncapped = 2.0 * torch.atanh(found.intact / 2.0)
    assert not torch.allclose(uncapped, found.intact, rtol=1e-2)
    assert torch.allclose(found.scores.sum(1) + constants(found), uncapped, rtol=1e-3, atol=5e-4)


def test_a_classifier_with_a_linear_head_adds_up() -> None:
    config = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=44, pad_token_id=0, initializer_range=0.5
    )
    torch.manual_seed(0)
    model = stirred(interp.TextModel(transformers.GPT2ForSequenceClassification(config).eval(), word_tokenizer()))
    found = explained(model, targets="all")
    assert torch.allclose(found.scores.sum(1) + constants(found), found.intact, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_filler])
def test_a_head_that_is_not_linear_is_refused(make: Any) -> None:
    text, targets = (TEXT, "all") if make is tiny_classifier else ("i feel so [MASK]", "happy")
    with pytest.raises(UnsupportedError, match="not linear"):
        interp.attribute(
            make(),
            text,
            by="direct-effect",
            over="components",
            reference="zero",
            targets=targets,
            score="logit",
            progress=False,
        )


@pytest.mark.parametrize("score", ["auto", "probability", "entropy"])
def test_scores_that_are_no_sum_of_parts_are_refused(score: str) -> None:
    with pytest.raises(UnsupportedError, match="score='logit'"):
        explained(tiny_generator(), score=score)


def test_positions_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="write nothing by themselves"):
        explained(tiny_generator(), over="positions")


def test_words_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="needs components"):
        interp.attribute(tiny_classifier(), TEXT, by="direct-effect", progress=False)


@pytest.mark.parametrize("make", [tiny_generator, tiny_llama])
def test_the_model_stays_as_it_was(make: Any) -> None:
    model = make()
    before = state_of(model)
    with pytest.warns(InterpWarning, match="add up to the logit"):
        explained(model)
    assert state_of(model) == before


class Meanwhile:
    """Calls a model on another thread whenever a module of it is called on this one, and keeps what that is told."""

    def __init__(self, model: Any, ids: Tensor) -> None:
        self.model, self.ids, self.owner = model, ids, threading.get_ident()
        self.told: list[tuple[Tensor, Tensor]] = []
        self.alone = self.asked()

    def __call__(self, *_: Any) -> None:
        if threading.get_ident() == self.owner:
            thread = threading.Thread(target=lambda: self.told.append(self.asked()))
            thread.start()
            thread.join()

    def asked(self) -> tuple[Tensor, Tensor]:
        """The logits, and their gradient, which passes the norms."""
        states = self.model.get_input_embeddings()(self.ids).detach().requires_grad_()
        logits = self.model(inputs_embeds=states).logits
        return logits.detach(), torch.autograd.grad(logits[0, -1, 5], states)[0]


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("within", ["model.layers.1", "lm_head", "model.norm"])
def test_what_other_threads_ask_of_the_model_meanwhile_stays_as_it_is(cap: float | None, within: str) -> None:
    expected = explained(small("Gemma2", final_logit_softcapping=cap))
    model = small("Gemma2", final_logit_softcapping=cap)
    meanwhile = Meanwhile(model.model, torch.flip(expected.encoded.ids, (0,))[None])
    module = model.model.get_submodule(within)
    hook = module.register_forward_pre_hook(meanwhile)
    found = explained(model)
    hook.remove()
    assert meanwhile.told
    for told in meanwhile.told:
        assert all(torch.equal(one, alone) for one, alone in zip(told, meanwhile.alone, strict=True))
    assert torch.equal(found.scores, expected.scores) and found.notes == expected.notes


@pytest.mark.parametrize(("cap", "rows"), [(None, 3), (2.0, 6)])
@pytest.mark.parametrize("reference", ["zero", OTHER])
def test_as_many_rows_are_run_as_it_says_and_fewer_are_refused(cap: float | None, rows: int, reference: str) -> None:
    """Those that find the reference are run by every method: here by one that runs none itself."""
    model = small("Gemma2", final_logit_softcapping=cap)
    explained(model, reference)  # whatever is tried out once

    class Nothing:
        def attribute(self, question: Any) -> Tensor:
            return torch.zeros(len(question.targets), len(question.units))

    options: dict[str, Any] = {"over": "components", "targets": TARGET, "score": "logit", "progress": False}
    (nothing,) = interp.attribute(model, TEXT, by=Nothing(), reference=reference, **options)
    found = explained(model, reference, max_rows=rows)
    beside = nothing.made_by.cost.rows - nothing.rows
    assert found.made_by.cost.rows - beside == rows
    with pytest.raises(BudgetError, match=f"{rows} rows of the model .* max_rows is {rows - 1}"):
        explained(model, reference, max_rows=rows - 1)


def test_tokens_without_a_counterpart_are_in_the_constant() -> None:
    found = explained(stirred(tiny_generator()), "so sad", align="right")
    assert torch.allclose(found.scores.sum(1) + constants(found), found.intact, rtol=1e-4, atol=2e-4)


def test_half_precision_adds_up_as_far_as_it_rounds() -> None:
    model = stirred(tiny_llama())
    half = interp.TextModel(model.model.to(torch.bfloat16), model.tokenizer)
    found = explained(half)
    assert torch.allclose(found.scores.sum(1) + constants(found), found.intact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["lm-tiny", "llama-tiny"])
def test_real_models_add_up(name: str, real_model: Callable[[str], Any]) -> None:
    model = real_model(name)
    (found,) = interp.attribute(
        model,
        "she said that the day was",
        by="direct-effect",
        over="components",
        reference="zero",
        score="logit",
        max_new_tokens=2,
        progress=False,
    )
    assert torch.allclose(found.scores.sum(1) + constants(found), found.intact, rtol=1e-4, atol=2e-3)
