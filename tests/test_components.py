"""Questions about components: gates that let through what a component gives, or what it gave in a reference run."""

from __future__ import annotations

import itertools
import math

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import hidden_of, repack, sites_of
from interp_core.testing import (
    state_of,
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)

pytestmark = pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")  # notes, which are asserted
MODELS = {
    "bert": lambda: tiny_classifier(),
    "gpt2": lambda: tiny_generator(),
    "llama-grouped": lambda: tiny_llama(num_attention_heads=4, num_key_value_heads=2),
    "t5": lambda: tiny_translator("t5"),
    "bart": lambda: tiny_translator("bart"),
}
TEXT, REFERENCE = "so happy today", "so sad today"


def about(model, by, over="components", text=TEXT, reference=REFERENCE, **options):
    if model.head in ("causal", "seq2seq") and "targets" not in options:
        options["targets"] = " but never"
    (one,) = interp.attribute(model, text, by=by, over=over, reference=reference, progress=False, **options)
    return one


def inputs_of(model, encoded):
    """What plain PyTorch calls the model with."""
    if not encoded.source:
        return {"input_ids": encoded.ids[None]}
    return {"input_ids": encoded.ids[None, : encoded.source], "decoder_input_ids": encoded.ids[None, encoded.source :]}


def score(model, attribution, encoded, hooks=()):
    """The score of the first target by plain PyTorch, with hooks on modules."""
    handles = [register() for register in hooks]
    try:
        logits = model.model(**inputs_of(model, encoded)).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    target = attribution.targets[0]
    if target.position is None:
        return logits[target.index]
    row = target.position - 1 - encoded.source
    return logits[row].log_softmax(-1)[target.index]


def places(model):
    """Each component with its module, its columns and whether it is in the input; written out for these families."""
    config = model.config
    for name, module in model.model.named_modules():
        if name.endswith(("attention.output.dense", "attn.c_proj", "self_attn.o_proj", "out_proj", "Attention.o")):
            heads = getattr(config, "num_attention_heads", None) or config.num_heads
            width = module.weight.shape[0 if type(module).__name__ == "Conv1D" else 1] // heads
            for head in range(heads):
                yield name, module, slice(head * width, (head + 1) * width), True
        elif name.endswith((".output.dense", "mlp.c_proj", "mlp.down_proj", ".fc2", ".wo")):
            yield name, module, slice(None), False


def recorded(model, encoded, module, inside):
    kept = []
    if inside:
        handle = module.register_forward_pre_hook(lambda _m, args: kept.append(args[0].clone()))
    else:
        handle = module.register_forward_hook(lambda _m, _a, out: kept.append(out.clone()))
    with torch.no_grad():
        model.model(**inputs_of(model, encoded))
    handle.remove()
    return kept[0]


def patched(module, columns, inside, value):
    """Registers a hook that replaces columns of what a module is given or gives."""

    def changed(states):
        states = states.clone()
        states[..., columns] = value[..., columns]
        return states

    if inside:
        return lambda: module.register_forward_pre_hook(lambda _m, args: (changed(args[0]), *args[1:]))
    return lambda: module.register_forward_hook(lambda _m, _a, out: changed(out))


@pytest.mark.parametrize("name", MODELS)
def test_occlusion_is_exact_patching(name):
    model = MODELS[name]()
    before = state_of(model)
    one = about(model, "occlusion")
    text, other = one.encoded, one.encoded.other
    with torch.no_grad():
        intact = score(model, one, text)
        emptied = score(model, one, other)
        effects = []
        for _, module, columns, inside in places(model):
            value = recorded(model, other, module, inside)
            effects.append(intact - score(model, one, text, [patched(module, columns, inside, value)]))
    named = {unit.text: float(s) for unit, s in zip(one.units, one.scores[0], strict=True)}
    ours = [value for unit, value in named.items() if "embeddings" not in unit]
    assert len(ours) == len(effects)
    assert sorted(ours) == pytest.approx(sorted(map(float, effects)), abs=1e-5)
    assert float(one.intact[0]) == pytest.approx(float(intact), abs=1e-5)
    if not text.source:  # whatever goes on from the embeddings of the reference is the reference
        assert named["embeddings"] == pytest.approx(float(intact - emptied), abs=1e-5)
    assert state_of(model) == before


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama-grouped"])
def test_attribution_patching_is_the_derivative_at_the_text(name):
    model = MODELS[name]()
    one = about(model, "input-x-gradient")
    named = {unit.text: float(s) for unit, s in zip(one.units, one.scores[0], strict=True)}
    text, other = one.encoded, one.encoded.other
    slopes = []
    for _, module, columns, inside in places(model):
        live, there = recorded(model, text, module, inside), recorded(model, other, module, inside)
        gate = torch.ones((), requires_grad=True)
        value = gate * live + (1 - gate) * there
        result = score(model, one, text, [patched(module, columns, inside, value)])
        slopes.append(float(torch.autograd.grad(result, gate)[0]))
    ours = [value for unit, value in named.items() if "embeddings" not in unit]
    assert sorted(ours) == pytest.approx(sorted(slopes), abs=1e-4)


@pytest.mark.parametrize("over", ["heads", "mlps", "components", "blocks", "positions", "heads-by-position"])
@pytest.mark.parametrize("name", MODELS)
def test_open_is_the_text_and_closed_the_reference(name, over):
    model = MODELS[name]()
    seen = {}

    class Ends:
        def attribute(self, question):
            seen["ends"] = question.intact(), question.emptied()
            return torch.zeros(len(question.targets), len(question.units))

    one = about(model, Ends(), over)
    with torch.no_grad():
        expected = [float(score(model, one, encoded)) for encoded in (one.encoded, one.encoded.other)]
    assert [float(end[0]) for end in seen["ends"]] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_integrated_gradients_add_up(name):
    model = MODELS[name]()
    one = about(model, "integrated-gradients", steps=256)
    with torch.no_grad():
        gap = float(score(model, one, one.encoded) - score(model, one, one.encoded.other))
    assert float(one.scores[0].sum()) == pytest.approx(gap, rel=0.01)


def test_shapley_over_heads_equals_enumeration():
    model = tiny_llama(num_attention_heads=4, num_key_value_heads=2)
    values = {}

    class Enumerated:
        def attribute(self, question):
            units = len(question.units)
            keep = torch.tensor(list(itertools.product([False, True], repeat=units)))
            for row, scores in zip(keep.tolist(), question.masked(keep), strict=True):
                values[tuple(row)] = float(scores[0])
            return torch.zeros(len(question.targets), units)

    about(model, Enumerated(), "heads", max_rows=None)
    one = about(model, "shapley", "heads")
    units = len(one.units)
    assert units == 9 and one.exact  # 8 heads and the embeddings
    shares = []
    for i in range(units):
        share = 0.0
        for keep, value in values.items():
            if not keep[i]:
                size = sum(keep)
                weight = math.factorial(size) * math.factorial(units - size - 1) / math.factorial(units)
                share += weight * (values[(*keep[:i], True, *keep[i + 1 :])] - value)
        shares.append(share)
    assert one.scores[0].tolist() == pytest.approx(shares, abs=1e-5)


def test_texts_share_passes_and_do_not_depend_on_company():
    model = tiny_generator()
    texts, references = (
        ["so happy today", "i feel so happy but never sad"],
        ["so sad today", "i feel so angry but never sad"],
    )
    kwargs = {"by": "occlusion", "over": "heads", "targets": " but", "progress": False}
    both = interp.attribute(model, texts, reference=references, **kwargs)
    alone = [interp.attribute(model, t, reference=r, **kwargs)[0] for t, r in zip(texts, references, strict=True)]
    for one, other in zip(both, alone, strict=True):
        assert torch.allclose(one.scores, other.scores, atol=1e-6)
    passes = both[0].made_by.cost.forwards
    assert passes < sum(one.made_by.cost.forwards for one in alone)


def test_mean_and_zero_references():
    model = tiny_llama()
    for reference in ("mean", "zero"):
        one = about(model, "occlusion", "mlps", reference=reference)
        (_, module, columns, inside), *_ = [p for p in places(model) if not p[3]]
        live = recorded(model, one.encoded, module, inside)
        value = live.mean(1, keepdim=True).expand_as(live) if reference == "mean" else torch.zeros_like(live)
        with torch.no_grad():
            effect = score(model, one, one.encoded) - score(
                model, one, one.encoded, [patched(module, columns, inside, value)]
            )
        assert dict(zip(one.words, one.scores[0].tolist(), strict=True))["L0.MLP"] == pytest.approx(
            float(effect), abs=1e-5
        )
        assert one.made_by.settings["reference"] == reference


def test_a_reference_of_another_length():
    model = tiny_generator()
    with pytest.raises(InputError, match=r"4 tokens and its reference 3.*align"):
        about(model, "occlusion", reference="so sad")
    one = about(model, "occlusion", "heads", reference="so sad", align="right")
    assert any("another length" in note for note in one.notes)
    assert one.encoded.partner.tolist()[:4] == [-1, 0, 1, 2]


def test_concepts_of_a_space_are_components():
    model = tiny_classifier()
    split = model.split(0)
    activations = split.activations(
        ["so happy today", "so sad today", "never angry"], granularity="token", progress=False
    )
    space = interp.fit_concepts(activations, by="pca", concepts=4, progress=False)
    seen = {}

    class Ends:
        def attribute(self, question):
            seen["ends"] = question.intact(), question.emptied()
            return torch.zeros(len(question.targets), len(question.units))

    one = about(model, Ends(), space)
    with torch.no_grad():
        expected = [float(score(model, one, encoded)) for encoded in (one.encoded, one.encoded.other)]
    assert [float(end[0]) for end in seen["ends"]] == pytest.approx(expected, abs=2e-6)
    assert one.words == [*space.names, "outside the space"]
    shares = about(model, "shapley", space)
    assert float(shares.scores[0].sum()) == pytest.approx(expected[0] - expected[1], abs=1e-4)


def test_noise_on_gates_stays_between_open_and_closed():
    model, given = tiny_classifier(), []
    injected = about(model, "smooth-grad")  # the method adds noise to gates
    assert torch.isfinite(injected.scores).all()

    class Beyond:
        def attribute(self, question):
            x = question.x
            given.extend(question.at(torch.stack([x, x + 0.7, 0 * x, 0 * x - 2])).tolist())
            return torch.zeros(len(question.targets), len(question.units))

    about(model, Beyond())
    assert given[0] == given[1]
    assert given[2] == given[3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    model = tiny_llama()
    half = interp.TextModel(model.model.to(dtype), model.tokenizer)
    one = about(half, "integrated-gradients", "heads", steps=8)
    assert torch.isfinite(one.scores).all()
    assert bool((one.scores != 0).any())


@pytest.mark.parametrize("make", [tiny_filler, tiny_tagger], ids=["masked", "tokens"])
def test_other_heads(make):
    model = make()
    mask = model.tokenizer.mask_token or ""
    text, reference = ("so [MASK] today", "never [MASK] today") if model.head == "masked" else (TEXT, REFERENCE)
    assert mask or model.head != "masked"
    (one, *_) = interp.attribute(model, text, by="occlusion", over="heads", reference=reference, progress=False)
    assert bool((one.scores != 0).any())


def test_extractor():
    (one,) = interp.attribute(
        tiny_extractor(),
        [("so happy today", "i feel sad")],
        by="occlusion",
        over="mlps",
        reference=[("so sad today", "i feel sad")],
        progress=False,
    )
    assert bool((one.scores != 0).any())


def test_saved_and_measured(tmp_path):
    model = tiny_generator()
    one = about(model, "occlusion", "components")
    again = interp.Attribution.load(one.save(tmp_path / "one.safetensors"))
    scores = [interp.measure(each, model, by="insertion", progress=False).value for each in (one, again)]
    assert scores[0] == pytest.approx(scores[1])
    assert again.made_by.settings["over"] == "components"
    assert "components of the model" in str(again.summary())
    assert "so sad today" in again.summary()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"over": "heads"}, "needs a reference"),
        ({"over": "neurons", "reference": "zero"}, "'neurons'"),
        ({"reference": "zero"}, "give over="),
        ({"align": "left"}, "give over="),
        ({"over": "heads", "reference": "zero", "removal": "mask"}, "removal="),
        ({"over": "heads", "reference": "zero", "granularity": "token"}, "granularity="),
        ({"over": "heads", "reference": "zero", "layer": 0}, "all layers"),
        ({"over": "heads", "reference": "so sad", "align": "middle"}, "'middle'"),
        ({"over": "heads", "reference": ["so sad today", "never"]}, "2 references were given for 1 texts"),
        ({"over": "heads", "reference": []}, "0 references were given for 1 texts"),
        ({"over": object(), "reference": "zero"}, "concept space"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(InputError, match=said):
        interp.attribute(tiny_classifier(), TEXT, by="occlusion", progress=False, **options)


def test_methods_that_look_inside_refuse_with_the_reason():
    with pytest.raises(UnsupportedError, match="needs internals"):
        about(tiny_classifier(), "attention-rollout")


def test_what_a_reader_must_know_is_in_the_notes():
    one = about(tiny_classifier(), "occlusion")
    total, gap = float(one.scores[0].sum()), None
    with torch.no_grad():
        gap = float(score(tiny_classifier(), one, one.encoded) - score(tiny_classifier(), one, one.encoded.other))
    assert (abs(total - gap) > 0.1 * abs(gap)) == any("add up to" in note for note in one.notes)
    first = about(tiny_classifier(), "input-x-gradient")
    assert any("slopes at the text" in note for note in first.notes)


def test_blocks_that_run_several_times():
    from transformers import AlbertConfig, AlbertForSequenceClassification

    tiny = tiny_classifier()
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=len(tiny.tokenizer),
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=3,
    )
    model = interp.TextModel(AlbertForSequenceClassification(config).eval(), tiny.tokenizer)
    assert [site.call for site in sites_of(model, "mlps")] == [0, 0, 1, 2]
    seen = {}

    class Ends:
        def attribute(self, question):
            seen["ends"] = question.intact(), question.emptied()
            return torch.zeros(len(question.targets), len(question.units))

    one = about(model, Ends())
    with torch.no_grad():
        expected = [float(score(model, one, encoded)) for encoded in (one.encoded, one.encoded.other)]
    assert [float(end[0]) for end in seen["ends"]] == pytest.approx(expected, abs=2e-6)


def test_the_command_line_asks_about_components(tmp_path):
    import json

    from click.testing import CliRunner
    from interp_core.cli import main

    tiny = tiny_classifier()
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    asked = ["attribute", "--model", str(tmp_path), "--by", "occlusion", "--over", "heads", "--json", "--quiet"]
    result = CliRunner().invoke(main, [*asked, "--reference", REFERENCE, TEXT])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["attributions"]
    assert [unit[0] for unit in found["units"]] == ["embeddings", "L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    expected = about(interp.load(str(tmp_path)), "occlusion", "heads").scores[0].tolist()
    assert found["scores"][0] == pytest.approx(expected, abs=1e-6)


class Adapter(torch.nn.Module):
    """A linear layer with a low-rank addition beside it, as PEFT wraps one."""

    def __init__(self, inner):
        super().__init__()
        self.base_layer = inner
        self.lora_A = torch.nn.Linear(inner.in_features, 4, bias=False)
        self.lora_B = torch.nn.Linear(4, inner.out_features, bias=False)

    @property
    def weight(self):
        return self.base_layer.weight

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def test_adapters_around_projections_are_part_of_their_component():
    model = tiny_llama()
    expected = sites_of(tiny_llama(), "components")
    for layer in model.model.model.layers:
        layer.self_attn.o_proj, layer.mlp.down_proj = Adapter(layer.self_attn.o_proj), Adapter(layer.mlp.down_proj)
    assert sites_of(model, "components") == expected
    seen = {}

    class Ends:
        def attribute(self, question):
            seen["ends"] = question.intact(), question.emptied()
            return torch.zeros(len(question.targets), len(question.units))

    one = about(model, Ends())
    with torch.no_grad():
        ends = [float(score(model, one, encoded)) for encoded in (one.encoded, one.encoded.other)]
    assert [float(end[0]) for end in seen["ends"]] == pytest.approx(ends, abs=2e-6)


def test_rows_are_those_of_the_variants_and_one_for_the_reference():
    model = tiny_classifier()
    one = about(model, "occlusion", "heads")
    assert one.rows == len(one.units) + 1  # each gate closed, and all of them for the note; the answer is known
    assert one.made_by.cost.forwards <= 4  # the answer, the reference, the gates, and the note's


def shared_blocks():
    from transformers import AlbertConfig, AlbertForSequenceClassification

    tiny = tiny_classifier()
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = AlbertConfig(
        vocab_size=len(tiny.tokenizer), intermediate_size=32, max_position_embeddings=32, num_labels=3, **sizes
    )
    return interp.TextModel(AlbertForSequenceClassification(config).eval(), tiny.tokenizer)


def test_positions_at_one_call_of_a_shared_block():
    model = shared_blocks()
    one_path = model.blocks[0].partition("@")[0]
    module = model.model.get_submodule(one_path)
    for layer in range(3):
        one = about(model, "occlusion", "positions", layer=layer)
        seen = []
        with torch.no_grad():
            handle = module.register_forward_hook(
                lambda _m, _a, out, seen=seen: seen.append(hidden_of(out, "").clone())
            )
            model.model(one.encoded.other.ids[None])
            handle.remove()
            for position in range(len(one.encoded)):
                calls = []

                def patch(_m, _a, out, calls=calls, layer=layer, seen=seen, position=position):
                    calls.append(0)
                    if len(calls) - 1 != layer:
                        return None
                    states = hidden_of(out, "").clone()
                    states[:, position] = seen[layer][:, position]
                    return repack(out, states)

                handle = module.register_forward_hook(patch)
                effect = one.intact[0] - model.model(one.encoded.ids[None]).logits[0, one.targets[0].index]
                handle.remove()
                assert float(one.scores[0, position]) == pytest.approx(float(effect), abs=1e-5)


def test_a_layer_inside_of_a_block_is_no_bottleneck_and_may_have_another_width():
    model = tiny_generator()
    for layer in ("transformer.h.0.mlp.act", "transformer.h.0.attn", "transformer.h.0.mlp.c_fc"):
        one = about(model, "occlusion", "positions", layer=layer)
        assert bool((one.scores != 0).any())
    split = model.split("transformer.h.0.mlp.act")
    rows = split.activations(["so happy today", "so sad today"], granularity="token", progress=False)
    space = interp.fit_concepts(rows, by="neurons", progress=False)
    assert bool((about(model, "occlusion", space.half()).scores != 0).any())


def test_a_reference_equal_to_the_text_says_nothing():
    one = about(tiny_classifier(), "occlusion", reference=TEXT)
    assert one.notes == () or all("add up" not in note for note in one.notes)


def test_the_trial_of_closed_gates_has_another_text():
    from interp_core.attribution._component_questions import gates_of
    from interp_core.model import check_all_closed

    model = tiny_llama()
    about(model, "occlusion", "mlps")
    broken = model.model.model.layers[1]
    first = model.model.model.embed_tokens
    kept = []
    first.register_forward_hook(lambda _m, _a, out: kept.append(out))
    broken.register_forward_hook(lambda _m, _a, out: out + kept[-1])  # the text is read once more
    one = about(tiny_llama(), "occlusion", "mlps").encoded
    with pytest.raises(UnsupportedError, match="once more"):
        check_all_closed(model, gates_of(model, one))
