"""Concepts changed while a model runs: what it does, that it is undone, and that importance agrees with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError, LayerError
from interp_core.model import BatchRunner
from interp_core.results import load_result
from interp_core.testing import state_of, tiny_classifier, tiny_filler, tiny_generator, tiny_translator
from torch import Tensor

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun and cold rain", "cat"]


def identity(width: int = 16) -> AffineSpace:
    return AffineSpace(torch.eye(width), torch.eye(width))


def logits_of(model: Any, text: str) -> Tensor:
    ids = model.encoder(text).ids[None]
    with torch.no_grad():
        found: Tensor = model.model(input_ids=ids).logits[0]
    return found


@pytest.mark.parametrize("layer", [0, -1])
def test_a_change_of_codes_is_that_change_of_the_hidden_states(layer: int) -> None:
    model = tiny_classifier()
    split = model.split(layer)
    encoded = model.encoder(TEXTS[0])
    states = split.states(BatchRunner(model), [encoded])[0]
    changed = states.clone()
    changed[:, 3] = 0
    changed[:, 5] = 2 * changed[:, 5] + 1.5
    expected = split.resume([changed], [encoded])[0]
    with interp.intervene(split, identity(), ablate=[3], scale={5: 2.0}, add={"concept 5": 1.5}):
        found = logits_of(model, TEXTS[0])
    assert torch.allclose(found, expected, atol=1e-5)


def test_what_the_concepts_do_not_explain_stays() -> None:
    """Of a space of one direction only that direction moves."""
    model = tiny_classifier()
    split = model.split(-1)
    direction = torch.nn.functional.normalize(torch.arange(16.0)[None], dim=1)
    space = AffineSpace(direction, direction)
    seen: dict[str, Tensor] = {}
    for name, change in (("plain", {}), ("gone", {"ablate": [0]})):
        with interp.intervene(split, space, **change or {"scale": {0: 1.0}}):
            handle = model.model.get_submodule(split.path).register_forward_hook(
                lambda _m, _i, out, name=name: seen.__setitem__(name, (out[0] if isinstance(out, tuple) else out)[0])
            )
            logits_of(model, TEXTS[0])
            handle.remove()
    moved = seen["plain"] - seen["gone"]
    assert torch.allclose(moved, (seen["plain"] @ direction.T) @ direction, atol=1e-5)
    assert torch.allclose(seen["gone"] @ direction.T, torch.zeros(len(moved), 1), atol=1e-5)


def test_generation_is_steered_at_every_step() -> None:
    model = tiny_generator()
    split = model.split(-1)
    head = model.model.get_output_embeddings().weight  # (v, d)
    ids = model.encoder("the old dog").ids[None]
    plain = model.model.generate(ids, max_new_tokens=4, do_sample=False)
    wanted = int(plain[0, -1]) + 1
    pushed = AffineSpace(head[wanted][None], head[wanted][None] / head[wanted].square().sum())
    with interp.intervene(split, pushed, add={0: 1e4}):
        steered = model.model.generate(ids, max_new_tokens=4, do_sample=False)
    assert set(steered[0, ids.shape[1] :].tolist()) == {int((_normed(model, head[wanted]) @ head.T).argmax())}
    assert torch.equal(model.model.generate(ids, max_new_tokens=4, do_sample=False), plain)


def _normed(model: Any, direction: Tensor) -> Tensor:
    """A very large state along a direction, after the last norm of the model."""
    with torch.no_grad():
        norm = next(m for n, m in model.model.named_modules() if n.endswith(("ln_f", "model.norm", "norm_f")))
        found: Tensor = norm(1e6 * direction)
    return found


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_the_model_is_as_it_was_however_the_block_ends(make: Any) -> None:
    model = make()
    before, plain = state_of(model), logits_of(model, TEXTS[0])
    with pytest.raises(RuntimeError, match="mine"), interp.intervene(model.split(0), identity(), ablate=[1]):
        assert not torch.allclose(logits_of(model, TEXTS[0]), plain)
        raise RuntimeError("mine")
    assert state_of(model) == before
    assert torch.equal(logits_of(model, TEXTS[0]), plain)


def test_two_changes_can_stand_in_one_another() -> None:
    model = tiny_classifier()
    split, plain = model.split(-1), logits_of(model, TEXTS[0])
    with interp.intervene(split, identity(), add={2: 1.0}):
        once = logits_of(model, TEXTS[0])
        with interp.intervene(split, identity(), add={2: -1.0}):
            assert torch.allclose(logits_of(model, TEXTS[0]), plain, atol=1e-5)
        assert torch.equal(logits_of(model, TEXTS[0]), once)


def test_the_rest_of_the_toolkit_sees_the_changed_model() -> None:
    model = tiny_classifier()
    plain = interp.attribute(model, TEXTS[:2], by="occlusion", targets="all", progress=False)
    with interp.intervene(model.split(-1), identity(), ablate=range(16)), pytest.warns(interp.InterpWarning):
        gone = interp.attribute(model, TEXTS[:2], by="occlusion", targets="all", progress=False)
    assert float(plain[0].scores.abs().max()) > 1e-3 and float(gone[0].scores.abs().max()) < 1e-6


@pytest.mark.parametrize("granularity", ["cls", "word"])
def test_occlusion_of_a_concept_is_minus_the_effect_of_taking_it_away(granularity: str) -> None:
    model = tiny_classifier()
    split = model.split(-1 if granularity == "cls" else 0)
    held = split.activations(TEXTS, granularity=granularity, progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=3)
    important = interp.importance(split, space, held, by="occlusion", progress=False)
    for concept in range(3):
        found = interp.effect(split, space, held, interp.Change(ablate=[concept]), progress=False)
        assert torch.allclose(found.per_text, -important.per_text[:, :, concept], atol=1e-5)
        assert found.targets == important.targets


def test_an_effect_of_cls_rows_is_that_of_the_running_model() -> None:
    model = tiny_classifier()
    split = model.split(-1)
    held = split.activations(TEXTS, granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=3)
    found = interp.effect(split, space, held, interp.Change(scale={1: 3.0}, add={0: 0.5}), progress=False)
    plain = torch.stack([logits_of(model, text) for text in TEXTS])
    with interp.intervene(split, space, scale={1: 3.0}, add={0: 0.5}):
        changed = torch.stack([logits_of(model, text) for text in TEXTS])
    assert torch.allclose(found.per_text, changed - plain, atol=1e-5)


def test_an_effect_on_a_generator_is_about_next_tokens() -> None:
    model = tiny_generator()
    split = model.split(0)
    held = split.activations(TEXTS, granularity="token", progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=4)
    found = interp.effect(split, space, held, interp.Change(ablate=[0]), targets=[" happy"], progress=False)
    assert found.per_text.shape == (6, 1) and bool(found.per_text.any())


def test_an_effect_has_an_interval_and_survives_saving(tmp_path: Path) -> None:
    model = tiny_classifier()
    split = model.split(-1)
    held = split.activations(TEXTS, granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=3)
    found = interp.effect(split, space, held, interp.Change(ablate=["concept 2"]), targets=[0, 1], progress=False)
    low, high = found.intervals[0] or (0.0, 0.0)
    assert low < float(found.mean[0]) < high
    half = 2.5706 * float(found.per_text[:, 0].std()) / 6**0.5  # Student's t, five degrees of freedom
    assert high - float(found.mean[0]) == pytest.approx(half, rel=1e-3)
    again = load_result(found.save(tmp_path / "effect.safetensors"))
    assert torch.equal(again.per_text, found.per_text) and again.change == {"ablate": ["concept 2"]}
    assert "concept 2" in str(again)
    page = interp.report(found).html
    assert "Concept 2 taken away" in page and "What changing concepts does" in page


def test_what_is_found_out_once_is_found_out_about_the_unchanged_model() -> None:
    """Whatever is tried first while an intervention is open: it would be remembered after it has closed."""
    space = AffineSpace(torch.eye(16), torch.eye(16))
    for make in (tiny_classifier, tiny_generator, tiny_filler):
        model, fresh = make(), make()
        path = "bert.embeddings.word_embeddings" if make is not tiny_generator else "transformer.wte"
        for where in (path, -1):
            nothing = dict.fromkeys(range(16), 0.0)
            with interp.intervene(model.split(where), space, scale=nothing):
                model.forward(*[torch.ones(1, 3, dtype=torch.long)] * 2)  # so that it is known to have run
                tried = [
                    model.embeddings.mean,
                    model.embeddings.some,
                    model.split(0).sample,
                    torch.tensor(model.embeddings.spread),
                ]
                head, blocks, layout = model.head, model.blocks, model.layout.tokens_first
            expected = [
                fresh.embeddings.mean,
                fresh.embeddings.some,
                fresh.split(0).sample,
                torch.tensor(fresh.embeddings.spread),
            ]
            assert (head, blocks, layout) == (fresh.head, fresh.blocks, fresh.layout.tokens_first)
            assert all(torch.equal(one, other) for one, other in zip(tried, expected, strict=True))


@pytest.mark.parametrize("amount", [np.float32(1.5), torch.tensor(1.5), np.int64(2)])
@pytest.mark.usefixtures("unchecked")
def test_an_effect_of_an_amount_of_any_type_can_be_saved(amount: Any, tmp_path: Path) -> None:
    split = tiny_classifier().split(0)
    held = split.activations(["so sad", "calm"], granularity="word", progress=False)
    space = AffineSpace(torch.eye(16), torch.eye(16))
    effect = interp.effect(split, space, held, interp.Change(add={1: amount}), progress=False)
    again = load_result(effect.save(tmp_path / "effect.safetensors"))
    assert again.made_by.settings == effect.made_by.settings
    with pytest.raises(InputError, match="a number for each concept"):
        interp.Change(add={1: np.array([1.0, 2.0])})  # type: ignore[dict-item]


def test_what_is_made_under_an_intervention_says_so(tmp_path: Path) -> None:
    model = tiny_classifier()
    split = model.split(0)
    texts = ["so happy today"]
    space = interp.fit_concepts(split.activations(texts, granularity="word", progress=False), by="neurons")
    with interp.intervene(split, space, ablate=[3], positions=[0, -1]):
        with interp.intervene(split, space, scale={1: 2.0}):
            (inner,) = interp.attribute(model, texts, by="occlusion", progress=False)
        (outer,) = interp.attribute(model, texts, by="occlusion", progress=False)
        held = split.activations(texts, granularity="word", progress=False)
    (plain,) = interp.attribute(model, texts, by="occlusion", progress=False)
    one = {"layer": split.path, "space": "neurons", "positions": [0, -1], "ablate": [space.names[3]]}
    two = {"layer": split.path, "space": "neurons", "positions": "all", "scale": {space.names[1]: 2.0}}
    assert inner.made_by.settings["interventions"] == [one, two]
    assert outer.made_by.settings["interventions"] == held.made_by.settings["interventions"] == [one]
    assert "interventions" not in plain.made_by.settings
    (again,) = interp.load_results(inner.save(tmp_path / "inner.safetensors"))
    assert again.made_by.settings == inner.made_by.settings and interp.report(inner).html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "names no concepts"),
        ({"ablate": "concept 3"}, "a list of concepts"),
        ({"ablate": [16]}, "no concept 16"),
        ({"ablate": [-1]}, "no concept -1"),
        ({"add": {"joy": 1.0}}, "no concept 'joy'"),
        ({"ablate": [1], "scale": {1: 2.0}}, "twice"),
        ({"scale": {1: float("nan")}}, "not finite"),
        ({"add": {1: 1.0}, "positions": "middle"}, "positions 'middle'"),
    ],
)
def test_a_change_that_means_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    model = tiny_classifier()
    before = state_of(model)
    with pytest.raises(InputError, match=message), interp.intervene(model.split(-1), identity(), **change):
        pass
    assert state_of(model) == before


def test_a_space_of_another_layer_or_width_is_refused() -> None:
    model = tiny_classifier()
    held = model.split(0).activations(TEXTS, progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=3)
    with pytest.raises(InputError, match="the model is split at"), interp.intervene(model.split(-1), space, ablate=[0]):
        pass
    with pytest.raises(InputError, match="width 8"), interp.intervene(model.split(-1), identity(8), ablate=[0]):
        pass


def test_a_module_without_a_row_for_each_token_is_refused() -> None:
    model = tiny_classifier()
    split = model.split("bert.pooler")
    with pytest.raises(LayerError):
        interp.intervene(split, identity(), ablate=[0]).__enter__()
    assert not model.model.get_submodule("bert.pooler")._forward_hooks


def test_the_last_token_of_padded_texts_is_the_last_that_is_shown() -> None:
    """Right or left padding: each text moves as it does alone."""
    model = tiny_generator()
    split, pad = model.split(-1), model.pad_id
    ids = [model.encoder(text).ids for text in ("the old dog was", "sad rain")]
    alone = []
    for one in ids:
        with interp.intervene(split, identity(), add={0: 5.0}, positions="last"), torch.no_grad():
            alone.append(model.model(input_ids=one[None], attention_mask=torch.ones_like(one)[None]).logits[0])
    longest = max(map(len, ids))
    batch = torch.stack([torch.nn.functional.pad(one, (0, longest - len(one)), value=pad) for one in ids])
    mask = torch.stack([(torch.arange(longest) < len(one)).long() for one in ids])
    with interp.intervene(split, identity(), add={0: 5.0}, positions="last"), torch.no_grad():
        together = model.model(input_ids=batch, attention_mask=mask).logits
    for one, expected, found in zip(ids, alone, together, strict=True):
        assert torch.allclose(found[: len(one)], expected, atol=1e-4)


@pytest.mark.parametrize("positions", ["first", "last", "all", "generated", [0, -2]])
@pytest.mark.parametrize("make", [tiny_generator, tiny_translator])
def test_with_a_cache_the_same_is_generated_as_without(positions: Any, make: Any) -> None:
    """Rows of different lengths, padded on the left, also in beams, and a second run in the same block."""
    model = make()
    texts = [model.encoder.prompt_ids(text) for text in ("i feel so happy", "sad")]
    longest = max(map(len, texts))
    ids = torch.tensor([[0] * (longest - len(text)) + text for text in texts])
    mask = (ids != 0).long()
    options = {"min_new_tokens": 6, "max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    found = []
    with interp.intervene(model.split(0), identity(), add={0: 3.0, 5: -2.0}, positions=positions):
        for beams in (1, 2):
            for cached in (True, False):
                given = model.model.generate(ids, attention_mask=mask, use_cache=cached, num_beams=beams, **options)
                found.append(given)
    assert torch.equal(found[0], found[1]) and torch.equal(found[2], found[3])


@pytest.mark.parametrize("positions", ["last", "generated", [1, -1]])
def test_the_tokens_that_are_steered_are_those_that_are_named(positions: Any) -> None:
    """Against a loop over passes without a cache, in which the states are changed by hand."""
    model = tiny_generator()
    ids = torch.tensor([model.encoder.prompt_ids("i feel so happy")])
    block, prompt = model.model.get_submodule(model.blocks[0]), ids.shape[1]
    with interp.intervene(model.split(0), identity(), add={0: 3.0, 5: -2.0}, positions=positions):
        found = model.model.generate(ids, min_new_tokens=5, max_new_tokens=5, do_sample=False, pad_token_id=0)

    def move(_module: Any, _inputs: Any, output: Any) -> Any:
        states = (output[0] if isinstance(output, tuple) else output).clone()
        count = states.shape[1]
        named = {"last": range(prompt - 1, count), "generated": range(prompt, count)}
        for place in named.get(positions, [1, prompt - 1]) if isinstance(positions, str) else [1, prompt - 1]:
            states[:, place, 0] += 3.0
            states[:, place, 5] -= 2.0
        return (states, *output[1:]) if isinstance(output, tuple) else states

    expected = ids
    hook = block.register_forward_hook(move)
    for _ in range(5):
        with torch.no_grad():
            logits = model.model(expected, use_cache=False).logits[0, -1]
        logits[model.tokenizer.sep_token_id] = -torch.inf  # the text may not end before its five tokens
        expected = torch.cat([expected, logits.argmax()[None, None]], dim=1)
    hook.remove()
    assert torch.equal(found, expected)


def test_concepts_may_be_named_by_any_whole_number() -> None:
    import numpy as np

    model = tiny_classifier()
    split = model.split(-1)
    held = split.activations(TEXTS, granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="ica", concepts=3)
    plain = interp.effect(split, space, held, interp.Change(ablate=[0]), progress=False).per_text
    for which in (np.array([0]), torch.tensor([0]), [np.int64(0)]):
        change: Any = which
        assert torch.equal(
            interp.effect(split, space, held, interp.Change(ablate=change), progress=False).per_text, plain
        )


def test_a_text_without_rows_is_not_moved() -> None:
    model = tiny_classifier()
    split = model.split(0)

    def sun(text: str) -> list[tuple[int, int]]:
        return [(text.find("sun"), text.find("sun") + 3)] if "sun" in text else []

    held = split.activations(TEXTS, granularity=sun, progress=False)
    space = interp.fit_concepts(held, by="neurons")
    found = interp.effect(split, space, held, interp.Change(ablate=[0]), progress=False)
    assert found.per_text.abs().sum(1).bool().tolist() == ["sun" in text for text in TEXTS]


def test_a_space_of_another_layer_cannot_be_measured_interpreted_or_asked_about() -> None:
    model = tiny_classifier()
    low, high = (model.split(i).activations(TEXTS, granularity="word", progress=False) for i in (0, -1))
    space = interp.fit_concepts(low, by="ica", concepts=3)
    for call in (
        lambda: interp.measure(space, high, by="mse"),
        lambda: interp.interpret(space, high, by="top-inputs"),
        lambda: interp.importance(model.split(-1), space, high),
        lambda: interp.effect(model.split(-1), space, high, interp.Change(ablate=[0])),
    ):
        with pytest.raises(InputError, match="the activations are of"):
            call()


def test_rows_that_are_not_finite_teach_nothing() -> None:
    from interp_core.activations import of_rows

    rows = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    rows[7, 3] = torch.nan
    for by in ("neurons", "pca", "kmeans", "semi-nmf"):
        with pytest.raises(InputError, match="NaN or infinity"):
            interp.fit_concepts(of_rows(rows), by=by)


def test_a_random_dictionary_wider_than_the_layer_is_a_floor_too() -> None:
    from interp_core.testing import PlantedSpace, dictionary_world

    activations, truth = dictionary_world(seed=3)
    wide = PlantedSpace(torch.nn.functional.normalize(torch.randn(64, 12), dim=1), torch.zeros(12))
    floor = interp.measure(wide, activations, truth, by="planted-mcc").chance
    assert floor is not None and 0.6 < floor < 0.95  # the best of 64 random directions in 12 dimensions
    assert interp.measure(wide, activations, by="mse").chance is None
