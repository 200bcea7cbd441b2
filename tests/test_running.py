"""Passes in autocast, and with compiled blocks, say what plain ones say, and leave nothing behind."""

import copy
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import _running
from interp_core.model._rounding import rounding
from interp_core.testing import planted_model, tiny_classifier, tiny_filler, tiny_llama

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm", "cold night and rain", "i"]


# autocast


def wide_models() -> tuple[interp.TextModel, interp.TextModel]:
    tokenizer = tiny_classifier().tokenizer
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256,
        num_labels=3, max_position_embeddings=128, initializer_range=0.1,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    return interp.TextModel(model, tokenizer), interp.TextModel(model, tokenizer, autocast="bfloat16")


def test_scores_in_autocast_are_those_of_plain_calls_in_autocast() -> None:
    _, model = wide_models()
    (found,) = interp.attribute(model, TEXTS[0], by="occlusion", targets="all", removal="mask", progress=False)
    ids = found.encoded.ids[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        whole = model.model(ids).logits[0].float()
        falls = []
        for unit in range(len(found.units)):
            other = torch.where(found.encoded.unit_of == unit, model.tokenizer.mask_token_id, ids)
            falls.append(whole - model.model(other).logits[0].float())
    expected = torch.stack(falls, dim=1)
    assert found.scores.dtype == torch.float32
    assert float((found.scores - expected).norm()) < 0.02 * float(whole.norm())


@pytest.mark.parametrize("by", ["integrated-gradients", "saliency", "input-x-gradient"])
def test_autocast_changes_slopes_by_two_percent_at_most(by: str) -> None:
    single, cast = wide_models()
    found, expected = (
        torch.cat([one.scores for one in interp.attribute(model, TEXTS, by=by, targets="all", progress=False)], dim=1)
        for model in (cast, single)
    )
    gap = float((found - expected).norm() / expected.norm())
    assert 0 < gap < 0.02  # not 0: it was on


def test_autocast_changes_falls_by_two_percent_of_what_they_fall_from_at_most() -> None:
    single, cast = wide_models()
    found, expected = (
        interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False) for model in (cast, single)
    )
    gaps = torch.cat([one.scores - other.scores for one, other in zip(found, expected, strict=True)], dim=1)
    whole = torch.cat([one.intact[:, None].expand_as(one.scores) for one in expected], dim=1)
    assert 0 < float(gaps.norm()) < 0.02 * float(whole.norm())


def test_autocast_leaves_the_model_the_process_and_other_wrappers_alone() -> None:
    single, cast = wide_models()
    before = {name: value.clone() for name, value in cast.model.state_dict().items()}
    plain = interp.attribute(single, TEXTS, by="occlusion", progress=False)
    interp.attribute(cast, TEXTS, by="input-x-gradient", progress=False)
    assert not torch.is_autocast_enabled("cpu")
    again = interp.attribute(single, TEXTS, by="occlusion", progress=False)
    assert all(torch.equal(one.scores, other.scores) for one, other in zip(plain, again, strict=True))
    after = cast.model.state_dict()
    assert all(after[name].dtype == value.dtype and torch.equal(after[name], value) for name, value in before.items())


def test_what_a_model_allows_is_tried_without_autocast() -> None:
    single, cast = wide_models()
    assert cast.sharing == single.sharing == "padded" and cast.read_position == single.read_position
    assert torch.equal(cast.logits(cast.some_ids()), single.logits(single.some_ids()))
    assert type(cast.split(1).injection) is type(single.split(1).injection)


def test_activations_in_autocast_are_float32_and_those_of_a_plain_pass_in_autocast() -> None:
    _, model = wide_models()
    held = model.split(1).activations(TEXTS[:1], granularity="token", progress=False)
    ids = model.encoder(TEXTS[0]).ids[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = model.model(ids, output_hidden_states=True).hidden_states[2][0, 1:-1].float()
    assert held.values.dtype == torch.float32 and torch.allclose(held.values, states, atol=0.02)


def test_another_format_for_autocast_is_refused() -> None:
    tiny = tiny_classifier()
    with pytest.raises(InputError, match="autocast is 'float8'; 'bfloat16' or None was expected"):
        interp.TextModel(tiny.model, tiny.tokenizer, autocast="float8")


def test_how_a_model_runs_is_told_and_kept_with_other_weights(tmp_path: Path) -> None:
    tiny = tiny_classifier()
    model = interp.TextModel(tiny.model, tiny.tokenizer, autocast="bfloat16", compile=True)
    other = model.with_weights(copy.deepcopy(tiny.model))
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    loaded = interp.load(tmp_path, autocast="bfloat16", compile=True)
    for one in (model, other, loaded):
        assert one.how_it_runs == {"autocast": "bfloat16", "compile": True}
    assert tiny.how_it_runs == {} and "bfloat16" in model.columns()["value"]


def test_rounding_in_autocast_is_that_of_its_format() -> None:
    model = tiny_classifier().model
    assert rounding(model) == 1e-4 and rounding(model, autocast="bfloat16") == 8 * torch.finfo(torch.bfloat16).eps


# compiled blocks


@pytest.fixture
def compiled_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of what `torch.compile` gives, with a backend that takes no time."""
    calls: list[Any] = []
    compiler = torch.compile

    def compile_one(function: Any, **options: Any) -> Any:
        compiled = compiler(function, backend="eager", **options)

        def call(*args: Any, **given: Any) -> Any:
            calls.append(function.__self__)
            return compiled(*args, **given)

        return call

    monkeypatch.setattr(_running.torch, "compile", compile_one)
    return calls


@pytest.mark.parametrize("make", [tiny_classifier, tiny_filler, tiny_llama])
@pytest.mark.parametrize("by", ["occlusion", "integrated-gradients"])
@pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")
def test_every_block_of_every_pass_runs_compiled_and_says_the_same(
    make: Any, by: str, compiled_calls: list[Any]
) -> None:
    tiny = make()
    text, targets = ("so [MASK] today", "happy") if make is tiny_filler else (TEXTS[2], " happy")
    given: dict[str, Any] = {} if make is tiny_classifier else {"targets": targets}
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    before = [dict(vars(module)) for module in tiny.model.modules()]
    (found,) = interp.attribute(model, text, by=by, removal="mean", progress=False, **given)
    (expected,) = interp.attribute(tiny, text, by=by, removal="mean", progress=False, **given)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    assert len(compiled_calls) == len(model.blocks) * found.made_by.cost.forwards
    assert all(old.keys() == vars(module).keys() for old, module in zip(before, tiny.model.modules(), strict=True))


def test_passes_that_go_on_from_what_rows_begin_with_are_not_compiled(compiled_calls: list[Any]) -> None:
    """Each length of what is kept would be compiled anew."""
    tiny = tiny_llama()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    options: dict[str, Any] = {"by": "occlusion", "targets": [" happy"] * len(TEXTS), "progress": False}
    found, expected = (interp.attribute(one, TEXTS, **options) for one in (model, tiny))
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.scores, other.scores, atol=1e-5)
    assert 0 < len(compiled_calls) < len(model.blocks) * found[0].made_by.cost.forwards


def test_a_block_that_is_looked_into_runs_as_it_is_written(compiled_calls: list[Any]) -> None:
    tiny = tiny_classifier()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    path = "bert.encoder.layer.0.output.dense"
    held, expected = (m.split(path).activations(TEXTS, granularity="token", progress=False) for m in (model, tiny))
    assert torch.equal(held.values, expected.values)
    assert tiny.model.bert.encoder.layer[0] not in compiled_calls


@pytest.mark.current
@pytest.mark.parametrize("by", ["attention-rollout", "value-zeroing"])
def test_attention_that_is_watched_is_not_compiled(by: str, compiled_calls: list[Any]) -> None:
    tiny = tiny_classifier()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    interp.attribute(model, TEXTS[0], by="occlusion", progress=False)  # compiled before anybody looks
    (found,) = interp.attribute(model, TEXTS[0], by=by, progress=False)
    (expected,) = interp.attribute(tiny, TEXTS[0], by=by, progress=False)
    assert compiled_calls and torch.allclose(found.scores, expected.scores, atol=1e-5)


def test_going_on_from_a_layer_skips_compiled_blocks_too(compiled_calls: list[Any]) -> None:
    tiny = tiny_classifier()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    assert model.split(0).injection and model.sharing  # tried
    compiled_calls.clear()
    (found,) = interp.attribute(model, TEXTS[0], by="saliency", layer=0, targets=0, progress=False)
    (expected,) = interp.attribute(tiny, TEXTS[0], by="saliency", layer=0, targets=0, progress=False)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    assert set(map(id, compiled_calls)) <= {id(block) for block in tiny.model.bert.encoder.layer}


def test_a_model_whose_blocks_are_not_found_cannot_be_compiled() -> None:
    planted = planted_model({"happy": (2.0, 0.0)})
    model = interp.TextModel(planted.model, planted.tokenizer, compile=True)
    with pytest.raises(UnsupportedError, match="compile=True compiles the blocks"):
        interp.attribute(model, "so happy", by="occlusion", progress=False)


def test_a_compiled_model_can_be_sent_to_another_process(compiled_calls: list[Any]) -> None:
    tiny = tiny_classifier()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    (before,) = interp.attribute(model, TEXTS[0], by="occlusion", progress=False)
    sent = pickle.loads(pickle.dumps(model))
    compiled_calls.clear()
    (after,) = interp.attribute(sent, TEXTS[0], by="occlusion", progress=False)
    assert compiled_calls and torch.allclose(after.scores, before.scores, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "targets", "once"),
    [
        (tiny_classifier, None, True),
        (tiny_classifier, 0, True),
        (tiny_classifier, interp.contrast(0, 1), True),
        (tiny_classifier, "all", False),
        (tiny_classifier, ["predicted", 0], False),
        (partial(tiny_classifier, problem_type="multi_label_classification"), None, False),  # one class, or several
        (tiny_llama, [" happy"], True),
        (tiny_llama, [" happy today"], False),
    ],
)
def test_passes_that_several_backward_passes_follow_are_not_compiled(
    make: Any, targets: Any, once: bool, compiled_calls: list[Any]
) -> None:
    """The first of them may overwrite what a compiled block saved for all."""
    tiny = make()
    model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
    options: dict[str, Any] = {"by": "saliency", "targets": targets, "progress": False}
    (found,), (expected,) = (interp.attribute(m, TEXTS[:1], **options) for m in (model, tiny))
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    assert bool(compiled_calls) is once and found.made_by.cost.forwards == 1


@pytest.mark.slow
def test_blocks_that_are_really_compiled_say_the_same_with_gradients_and_without() -> None:
    """For one target first, whose code may give away what others need: PyTorch keeps it in its caches."""
    tiny = tiny_classifier()
    with torch._inductor.utils.fresh_cache():
        model = interp.TextModel(tiny.model, tiny.tokenizer, compile=True)
        for by, targets in (("occlusion", "all"), ("saliency", 1), ("saliency", "all")):
            options: dict[str, Any] = {"by": by, "targets": targets, "progress": False}
            found, expected = (interp.attribute(m, TEXTS, **options) for m in (model, tiny))
            for one, other in zip(found, expected, strict=True):
                assert torch.allclose(one.scores, other.scores, atol=1e-4)
