"""Scores of edges and patched edges, held to a transformer written out in plain PyTorch, edge by edge."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
import transformers
from interp_core.attribution import Options, Question, Session
from interp_core.errors import InputError, InterpWarning, UnsupportedError
from interp_core.testing import (
    state_of,
    tiny_classifier,
    tiny_generator,
    tiny_llama,
    tiny_translator,
    word_tokenizer,
)
from interp_edge_attribution import graph
from interp_edge_attribution.questions import about_edges
from torch import Tensor

TEXT, OTHER, TARGET = "i feel so happy", "a dog was sad", " today"
pytestmark = pytest.mark.filterwarnings("ignore:.*add up to:interp_core.errors.InterpWarning")
ASKED: dict[str, Any] = {"targets": TARGET, "progress": False}


def stirred(model: interp.TextModel) -> interp.TextModel:
    """The model with random biases and norms, which start at 0 and 1."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.model.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model


def gpt() -> interp.TextModel:
    return stirred(tiny_generator())


def llama() -> interp.TextModel:
    """Four heads, of which two share keys and values."""
    return stirred(tiny_llama(num_attention_heads=4, num_key_value_heads=2, attention_bias=True, mlp_bias=True))


def question_of(model: interp.TextModel, reference: str = OTHER) -> tuple[Question, Any]:
    """The question about the edges of one text, and the text as the model receives it."""
    options = Options(over="components", reference=reference, score="logit", progress=False)
    session = Session(model, options)
    (prepared,) = session.prepare([TEXT], TARGET, "word")
    return about_edges(session.alone(prepared)), prepared.encoded


# A transformer in plain PyTorch, in which every reader is given a tensor of its own


Change = Callable[[str, str], Tensor | None]  # from writer and reader: what that writer writes for it, or None


@dataclass
class Plain:
    """One run: what each writer writes and what each reader reads.

    Attributes:
        model: the user's model, whose weights are used.
        change: what a reader reads of a writer in place of what that writes.
    """

    model: Any
    change: Change = lambda _writer, _reader: None
    written: dict[str, Tensor] = field(default_factory=dict)
    read: dict[str, Tensor] = field(default_factory=dict)
    constant: Tensor | float = 0.0

    def reads(self, reader: str) -> Tensor:
        pieces = [self.change(name, reader) for name in self.written]
        total = sum(w if c is None else c for w, c in zip(self.written.values(), pieces, strict=True))
        found: Tensor = total + self.constant
        if found.requires_grad:
            found.retain_grad()
        self.read[reader] = found
        return found

    def attention(self, layer: int, parts: dict[str, Tensor], out: Tensor, bias: Tensor | float) -> None:
        """Heads from their queries, keys and values (t, width), which are named by reader."""
        heads = [name for name in parts if name.endswith(".Q")]
        values = [name for name in parts if name.endswith(".V")]
        each = len(heads) // len(values)
        pieces = []
        for h, name in enumerate(heads):
            q, v = parts[name], parts[values[h // each]]
            k = parts[values[h // each][:-1] + "K"]
            scores = q @ k.T / math.sqrt(q.shape[-1])
            hidden = torch.ones_like(scores).tril() == 0
            pieces.append(scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v)
        width = pieces[0].shape[-1]
        for h, piece in enumerate(pieces):
            self.written[f"L{layer}.H{h}"] = piece @ out[h * width : (h + 1) * width]
        self.constant = self.constant + bias


def plain_gpt(run: Plain, embedded: Tensor) -> Tensor:
    body, heads = run.model.transformer, run.model.config.n_head
    run.written["embeddings"] = embedded
    for i, block in enumerate(body.h):
        d = embedded.shape[-1]
        width, parts = d // heads, {}
        for j, letter in enumerate("QKV"):
            for h in range(heads):
                columns = slice(j * d + h * width, j * d + (h + 1) * width)
                x = block.ln_1(run.reads(f"L{i}.H{h}.{letter}"))
                parts[f"L{i}.H{h}.{letter}"] = (
                    x @ block.attn.c_attn.weight[:, columns] + block.attn.c_attn.bias[columns]
                )
        run.attention(i, parts, block.attn.c_proj.weight, block.attn.c_proj.bias)
        x = block.ln_2(run.reads(f"L{i}.MLP"))
        inner = torch.nn.functional.gelu(x @ block.mlp.c_fc.weight + block.mlp.c_fc.bias, approximate="tanh")
        run.written[f"L{i}.MLP"] = inner @ block.mlp.c_proj.weight + block.mlp.c_proj.bias
    return body.ln_f(run.reads("logits")) @ run.model.lm_head.weight.T


def plain_llama(run: Plain, embedded: Tensor) -> Tensor:
    body, config = run.model.model, run.model.config
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    width = config.hidden_size // heads
    run.written["embeddings"] = embedded
    for i, block in enumerate(body.layers):
        own, parts = block.self_attn, {}
        for letter, module, count in (("Q", own.q_proj, heads), ("K", own.k_proj, groups), ("V", own.v_proj, groups)):
            for h in range(count):
                name = f"L{i}.H{h}.Q" if letter == "Q" else f"L{i}.G{h}.{letter}"
                rows = slice(h * width, (h + 1) * width)
                x = normed(run.reads(name), block.input_layernorm) @ module.weight[rows].T + module.bias[rows]
                parts[name] = x if letter == "V" else turned(x)
        run.attention(i, parts, own.o_proj.weight.T, own.o_proj.bias)
        x, mlp = normed(run.reads(f"L{i}.MLP"), block.post_attention_layernorm), block.mlp
        inner = torch.nn.functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x)
        run.written[f"L{i}.MLP"] = mlp.down_proj(inner)
    return normed(run.reads("logits"), body.norm) @ run.model.lm_head.weight.T


def normed(x: Tensor, norm: Any) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + norm.variance_epsilon).sqrt() * norm.weight


def turned(x: Tensor) -> Tensor:
    """Rotary positions."""
    t, d = x.shape
    angles = torch.arange(t)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
    both = torch.cat([angles, angles], dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * both.cos() + torch.cat([-second, first], dim=-1) * both.sin()


def embedded(model: Any, ids: Tensor) -> Tensor:
    if hasattr(model, "transformer"):
        return (model.transformer.wte(ids) + model.transformer.wpe.weight[: len(ids)]).detach()
    return model.model.embed_tokens(ids).detach()


KINDS = [(gpt, plain_gpt), (llama, plain_llama)]


@dataclass
class Case:
    """A model, the plain form of it, and both texts."""

    model: interp.TextModel
    run: Callable[[Plain, Tensor], Tensor]

    def __post_init__(self) -> None:
        self.question, encoded = question_of(self.model)
        self.ids, self.other = encoded.ids, encoded.other.ids
        self.target = self.question.targets[0].index
        for weight in self.model.model.parameters():
            weight.requires_grad_(False)

    def score(self, start: Tensor, change: Change | None = None) -> tuple[Tensor, Plain]:
        run = Plain(self.model.model) if change is None else Plain(self.model.model, change)
        return self.run(run, start)[-2, self.target], run

    @property
    def live(self) -> Tensor:
        return embedded(self.model.model, self.ids)

    @property
    def reference(self) -> Tensor:
        return embedded(self.model.model, self.other)

    def edges(self, values: Callable[[str, str], float]) -> Tensor:
        """A value for each edge of the question, by the names of its writer and its reader."""
        pairs = [unit.text.split(" → ") for unit in self.question.units]
        return torch.tensor([float(values(writer, reader)) for writer, reader in pairs])

    def first_order(self, start: Tensor) -> Tensor:
        """Minus (reference - live) of the writer, times the gradient at what the reader reads, edge by edge."""
        live, reference = self.score(self.live)[1].written, self.score(self.reference)[1].written
        score, run = self.score(start.clone().requires_grad_())
        score.backward()
        return self.edges(lambda w, r: -((reference[w] - live[w]) * run.read[r].grad).sum())


@pytest.fixture(scope="module", params=KINDS, ids=["gpt", "llama"])
def case(request: pytest.FixtureRequest) -> Case:
    make, run = request.param
    return Case(make(), run)


def test_the_plain_form_is_the_model(case: Case) -> None:
    assert case.score(case.live)[0].item() == pytest.approx(case.question.intact().item(), abs=1e-4)
    assert case.score(case.reference)[0].item() == pytest.approx(case.question.emptied().item(), abs=1e-4)
    every = {(w, r) for r in case.score(case.live)[1].read for w in case.score(case.live)[1].written}
    known = [tuple(unit.text.split(" → ")) for unit in case.question.units]
    assert len(set(known)) == len(known) and set(known) < every


def found(case: Case, by: Any, **options: Any) -> interp.Circuit:
    return interp.find_circuit(case.model, TEXT, OTHER, by=by, **{**ASKED, **options})


def test_eap_is_the_first_order_estimate_edge_by_edge(case: Case) -> None:
    expected = case.first_order(case.live)
    assert torch.allclose(found(case, "eap").scores, expected, atol=1e-4 * float(expected.abs().max()))


def test_eap_ig_averages_the_gradient_along_the_way_of_the_embeddings(case: Case) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(5)
    starts = [torch.lerp(case.reference, case.live, float(node + 1) / 2) for node in nodes]
    expected = sum(float(w) / 2 * case.first_order(start) for w, start in zip(weights, starts, strict=True))
    scores = found(case, "eap-ig", steps=5).scores
    assert torch.allclose(scores, expected, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(scores, found(case, "eap").scores, atol=1e-2)


def test_occlusion_patches_each_edge_by_itself(case: Case) -> None:
    reference = case.score(case.reference)[1].written
    whole = case.score(case.live)[0].item()

    def patched(writer: str, reader: str) -> float:
        change = lambda w, r: reference[w] if (w, r) == (writer, reader) else None  # noqa: E731
        return whole - case.score(case.live, change)[0].item()

    expected = case.edges(patched)
    assert torch.allclose(found(case, "occlusion").scores, expected, atol=1e-4 * float(expected.abs().max()))


def test_several_closed_edges_are_patched_together(case: Case) -> None:
    """What a writer writes once its own readers read the reference is what goes on over its open edges."""
    reference = case.score(case.reference)[1].written
    keep = torch.rand(6, len(case.question.units), generator=torch.Generator().manual_seed(0)) < 0.6
    names = [tuple(unit.text.split(" → ")) for unit in case.question.units]
    for row, score in zip(keep, case.question.masked(keep)[:, 0].tolist(), strict=True):
        shut = {name for name, kept in zip(names, row.tolist(), strict=True) if not kept}
        expected = case.score(case.live, lambda w, r, shut=shut: reference[w] if (w, r) in shut else None)[0].item()
        assert score == pytest.approx(expected, abs=1e-4)


def test_edge_gates_add_up_to_the_score_of_the_text_less_that_of_the_reference(case: Case) -> None:
    gap = (case.question.intact() - case.question.emptied()).item()
    assert found(case, "edge-gates").scores.sum().item() == pytest.approx(gap, rel=0.01, abs=1e-3)
    first_order = found(case, "eap").scores.sum().item()
    assert abs(first_order - gap) > 0.1 * abs(gap)  # only edge gates do


@pytest.mark.parametrize("reference", ["zero", "mean", OTHER])
def test_the_whole_circuit_is_the_model_and_the_empty_one_the_reference(reference: str) -> None:
    model = llama()
    circuit = interp.find_circuit(model, TEXT, reference, share=0.3, **ASKED)
    options: dict[str, Any] = {"over": "components", "score": "logit", **ASKED}
    measured = interp.faithfulness(circuit, model, "the day was cold", reference, **ASKED)
    assert measured.curve[0].item() == 0 and measured.curve[-1].item() == 1
    assert all(curve[0].item() == 0 and curve[-1].item() == 1 for curve in measured.random_curves)
    (plain,) = interp.attribute(model, "the day was cold", by="occlusion", reference=reference, **options)
    assert measured.full == pytest.approx(plain.intact.item(), abs=1e-5)
    whole = interp.faithfulness(circuit.of_size(share=1.0), model, TEXT, OTHER, samples=0, **ASKED)
    empty = interp.faithfulness(circuit.of_size(edges=0), model, TEXT, OTHER, samples=0, **ASKED)
    assert (whole.value, empty.value) == (1.0, 0.0)
    if reference == OTHER:
        ids = model.encoder.with_ids(OTHER, measured_target(model)).ids
        assert measured.empty == pytest.approx(model.logits(ids[None])[0, -2, ids[-1]].item(), abs=1e-4)


def measured_target(model: interp.TextModel) -> list[int]:
    return [model.tokenizer.convert_tokens_to_ids("today")]


# Other architectures


def small(family: str, **config: Any) -> interp.TextModel:
    """A decoder of a family of transformers, with random biases and norms."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    limits = {"vocab_size": len(word_tokenizer()), "max_position_embeddings": 32, "initializer_range": 0.5}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    made = getattr(transformers, f"{family}Config")(**{**sizes, **limits, **ids, **config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{family}ForCausalLM")(made).eval()
    return stirred(interp.TextModel(model, word_tokenizer()))


FUSED = {
    "GPTNeoX": {"use_parallel_residual": True},
    "Bloom": {"n_head": 4},
    "Falcon": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "Phi3": {"num_key_value_heads": 2},
}


@pytest.mark.parametrize("family", FUSED)
def test_heads_in_one_projection_are_told_apart(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is closed to the queries, keys and values of one head reaches that head alone, of all the attention."""
    model = small(family, **FUSED[family])
    question, _ = question_of(model)
    names = [unit.text for unit in question.units]
    assert any(".Q" in name for name in names)
    heads = next(site for site in graph.graph_of(model).sites if site.kind == "head")
    seen: list[Tensor] = []
    own = [" → L0.H2.", " → L0.G1."]
    rows = [[not any(end in name for end in own) for name in names], [True] * len(names)]
    module = model.model.get_submodule(heads.path)
    hook = module.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].clone()))
    question.masked(torch.tensor(rows[:1]))
    question.with_budget(None).masked(torch.tensor(rows[1:]))
    hook.remove()
    moved = (seen[0] - seen[1]).abs().amax((0, 1)).reshape(4, -1).amax(1) > 1e-5
    assert moved[2] and not moved[:2].any()
    apart = question.masked(torch.tensor([[" → L0.H" not in name and " → L0.G" not in name for name in names]]))
    monkeypatch.setattr(graph, "columns_of", lambda *_: [])
    as_one = interp.TextModel(model.model, model.tokenizer)
    other, _ = question_of(as_one)
    named = [unit.text for unit in other.units]
    assert "embeddings → L0.attention" in named
    together = other.masked(torch.tensor([["L0.attention" not in name for name in named]]))
    assert torch.allclose(apart, together, atol=1e-4)


DECODERS = {
    "Qwen2": {"num_key_value_heads": 2},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 4},
    "Mistral": {"num_key_value_heads": 2},
    "Phi": {},
    "GPTJ": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_inner": 32, "rotary_dim": 4, "n_positions": 32},
    "Gemma": {"head_dim": 4, "num_key_value_heads": 2},
    "Cohere": {"num_key_value_heads": 2},
    "StableLm": {"num_key_value_heads": 2},
    **FUSED,
}


@pytest.mark.parametrize("family", DECODERS)
def test_open_edges_are_the_text_and_closed_ones_the_reference(family: str) -> None:
    model = small(family, **DECODERS[family])
    question, encoded = question_of(model)
    (plain,) = interp.attribute(
        model, TEXT, by="input-x-gradient", over="components", reference=OTHER, score="logit", **ASKED
    )
    assert torch.allclose(question.intact(), plain.intact, atol=1e-5)
    ids = encoded.other.ids
    assert question.emptied().item() == pytest.approx(model.logits(ids[None])[0, -2, ids[-1]].item(), abs=1e-4)


def twice_normed(model: interp.TextModel) -> interp.TextModel:
    """The model with its last norm behind the embeddings too, as NanoChat has it."""
    body = model.model.transformer
    body.drop = torch.nn.Sequential(body.ln_f)
    return model


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (tiny_classifier, "does not read the sum"),
        (lambda: small("Gemma2", head_dim=4, num_key_value_heads=2), "does not read the sum"),
        (lambda: small("Granite", num_key_value_heads=2, residual_multiplier=0.5), "does not read the sum"),
        (lambda: tiny_translator("t5"), "an encoder and a decoder"),
        (lambda: twice_normed(gpt()), "runs 2 times in a pass"),
    ],
)
def test_models_whose_stream_is_not_a_plain_sum_are_refused(make: Any, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        interp.find_circuit(make(), TEXT, OTHER, progress=False)


def test_nothing_of_the_model_is_changed() -> None:
    model = tiny_llama()
    before = state_of(model)
    for by in ("eap", "eap-ig", "edge-gates"):
        circuit = interp.find_circuit(model, TEXT, OTHER, by=by, **ASKED)
    interp.faithfulness(circuit, model, "the day was cold", OTHER, **ASKED)
    assert state_of(model) == before


class Meanwhile:
    """Calls a model on another thread whenever a module of it is called on this one, and keeps what that is told."""

    def __init__(self, model: Any, ids: Tensor) -> None:
        self.model, self.ids, self.owner = model, ids, threading.get_ident()
        self.told: list[Tensor] = []
        with torch.no_grad():
            self.alone = model(input_ids=ids).logits

    def __call__(self, *_: Any) -> None:
        if threading.get_ident() == self.owner:
            thread = threading.Thread(target=self.work)
            thread.start()
            thread.join()

    def work(self) -> None:
        with torch.no_grad():
            self.told.append(self.model(input_ids=self.ids).logits)

    @property
    def undisturbed(self) -> bool:
        return bool(self.told) and all(torch.equal(one, self.alone) for one in self.told)


@pytest.mark.parametrize("make", [gpt, llama])
@pytest.mark.parametrize("by", ["eap", "eap-ig"])
def test_what_other_threads_ask_of_the_model_meanwhile_stays_as_it_is(make: Any, by: str) -> None:
    """From finding the edges of a new model on, in the middle of each pass; and what is found stays as well."""
    expected = interp.find_circuit(make(), TEXT, OTHER, by=by, **ASKED).scores
    model = make()
    meanwhile = Meanwhile(model.model, model.encoder(TEXT).ids[None].expand(7, -1))
    blocks = model.blocks
    hook = model.model.get_submodule(blocks[1]).register_forward_pre_hook(meanwhile)
    scores = interp.find_circuit(model, TEXT, OTHER, by=by, **ASKED).scores
    hook.remove()
    assert meanwhile.undisturbed
    assert torch.equal(scores, expected)


def test_texts_of_different_lengths_are_found_alike_alone_and_together() -> None:
    model = gpt()
    texts, others = [TEXT, "the old dog was never calm"], [OTHER, "a new cat is always sad"]
    together = interp.find_circuit(model, texts, others, **ASKED)
    for row, text, other in zip(together.per_text, texts, others, strict=True):
        alone = interp.find_circuit(model, text, other, **ASKED)
        assert torch.allclose(row, alone.scores, atol=1e-4)


def test_a_reference_of_another_length_is_aligned_as_asked() -> None:
    model = gpt()
    with pytest.raises(InputError, match="align"):
        interp.find_circuit(model, TEXT, "so sad", **ASKED)
    session = Session(
        model, Options(over="components", reference="so sad", align="left", score="logit", progress=False)
    )
    of_components = session.alone(session.prepare([TEXT], TARGET, "word")[0])
    closed = about_edges(of_components).emptied()
    assert torch.allclose(closed, of_components.emptied(), atol=1e-5)  # what has no counterpart stays in both
    with pytest.warns(InterpWarning, match="no counterpart"):
        circuit = interp.find_circuit(model, TEXT, "so sad", by="edge-gates", align="left", **ASKED)
    gap = (of_components.intact() - of_components.emptied()).item()
    assert circuit.scores.sum().item() == pytest.approx(gap, rel=0.01)
    measured = interp.faithfulness(circuit, model, "the day was cold", "so sad", align="left", **ASKED)
    aligned = interp.faithfulness(circuit, model, "the day was cold", OTHER, align="left", **ASKED)
    for value in (circuit, measured):
        (note,) = value.notes
        assert note.startswith("1 of 1 text: ") and "have no counterpart" in note
    assert not aligned.notes


@pytest.mark.parametrize("name", ["lm-tiny", "llama-tiny"])
def test_real_models_are_the_text_with_all_edges_and_the_reference_without(
    name: str, real_model: Callable[[str], Any]
) -> None:
    model = real_model(name)
    texts, others = "the day was good", "the day was long"
    circuit = interp.find_circuit(model, texts, others, targets=" a", share=0.05, progress=False)
    measured = interp.faithfulness(circuit, model, texts, others, targets=" a", samples=0, progress=False)
    for text, found in ((texts, measured.full), (others, measured.empty)):
        encoded = model.encoder.prompt(text)
        target = model.tokenizer(" a", add_special_tokens=False)["input_ids"][0]
        assert found == pytest.approx(model.logits(encoded.ids[None])[0, -1, target].item(), rel=1e-3, abs=1e-3)
    assert 0 < circuit.size < len(circuit.edges)


# On the model that looks up who holds what


@pytest.mark.parametrize("swap", ["object_swap", "name_swap"])
@pytest.mark.parametrize("by", ["eap-ig", "edge-gates"])
def test_a_tenth_of_the_edges_looks_up_on_other_contexts(swap: str, by: str) -> None:
    lookup_contexts = (
        pytest.importorskip("interp_lookup", reason="interp-lookup is not installed") and interp.lookup_contexts
    )
    model = interp.lookup_model()
    contexts = lookup_contexts(16, sentences=(6, 8), seed=5)
    swapped = [getattr(context, swap)() for context in contexts]
    targets = [interp.contrast(c.answer, s.answer) for c, s in zip(contexts, swapped, strict=True)]
    texts, others = [c.prompt for c in contexts], [s.prompt for s in swapped]
    options: dict[str, Any] = {"targets": targets[:8], "progress": False}
    circuit = interp.find_circuit(model, texts[:8], others[:8], by=by, share=0.1, **options)
    measured = interp.faithfulness(circuit, model, texts[8:], others[8:], **{**options, "targets": targets[8:]})
    assert measured.value >= 0.85 and not measured.notes
    assert measured.chance is not None and measured.chance < 0.1 and measured.area > (measured.random_area or 0) + 0.3
