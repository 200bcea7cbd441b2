"""What concepts contribute equals autograd through the whole model, and blocks below the split do not run for it."""

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError, TargetError
from interp_core.model import at_rest, tap
from interp_core.testing import PlantedSpace, state_of, tiny_classifier, tiny_generator

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad", "cold night and rain"]


def space_of(width: int = 16, concepts: int = 6, seed: int = 0) -> PlantedSpace:
    """Directions with codes of which many are zero; they explain only a part of what a layer holds."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(width, concepts, generator=generator)).Q.T.contiguous()
    return PlantedSpace(directions, torch.zeros(width))


@pytest.mark.filterwarnings("ignore:Every number is 0")  # words at the last block of a classifier
@pytest.mark.parametrize("layer", [0, -1])
@pytest.mark.parametrize("granularity", ["cls", "word", "sample"])
def test_importance_equals_autograd_through_the_full_model(layer: int, granularity: str) -> None:
    model = tiny_classifier()
    split, space = model.split(layer), space_of()
    held = split.activations(TEXTS, granularity=granularity, progress=False)
    found = interp.importance(split, space, held, by="input-x-gradient", targets="all", progress=False)
    for i, text in enumerate(TEXTS):
        encoded = model.encoder(text).with_units([(u.start, u.stop) for u in held.units[i]])
        ids = encoded.ids[None]
        codes = space.encode(held.values[held.rows_of(i)]).requires_grad_()
        place = split.row_of(encoded, granularity)
        inside = (place >= 0).float()[:, None]

        def put_back(states, codes=codes, place=place, inside=inside):  # type: ignore[no-untyped-def]
            change = space.decode(codes) - space.decode(codes.detach())
            return states.detach() + (change[place.clamp(min=0)] * inside)[None]

        with at_rest(model.model), tap(model.model, split.path, replace=put_back):
            logits = model.forward(ids, torch.ones_like(ids))["logits"][0]
        slopes = torch.stack([torch.autograd.grad(logit, codes, retain_graph=True)[0] for logit in logits])
        assert torch.allclose(found.per_text[i], (slopes * codes).sum(1), atol=1e-5)


def test_a_linear_head_has_the_closed_form() -> None:
    model = tiny_classifier()
    model.model.bert.pooler.activation = torch.nn.Identity()
    split, space = model.split(-1), space_of()
    held = split.activations(TEXTS, granularity="cls", progress=False)
    weight = model.model.classifier.weight @ model.model.bert.pooler.dense.weight
    expected = space.encode(held.values)[:, None] * (weight @ space.dictionary.T)[None]
    for by in ("input-x-gradient", "integrated-gradients", "occlusion"):
        found = interp.importance(split, space, held, by=by, progress=False)
        assert torch.allclose(found.per_text, expected, atol=1e-5), by


def test_the_blocks_below_the_split_never_run_where_the_head_reads_one_row(blocks_that_run) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    split, space = model.split(-1), space_of()
    held = split.activations(TEXTS, granularity="cls", progress=False)
    assert split.head_reads_one_row and model.sharing == "padded"  # proofs that run the model, each made once
    calls = blocks_that_run(model)
    found = interp.importance(split, space, held, progress=False)
    assert not calls
    assert found.made_by.cost.forwards == 1  # the gradients of all texts and classes
    assert found.made_by.cost.backwards == 3


def test_only_the_part_above_the_split_runs_on_variants_in_the_middle_of_a_model(blocks_that_run) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    split, space = model.split(0), space_of()
    held = split.activations(TEXTS, granularity="word", progress=False)
    assert split.injection is not None and split.capabilities.runs_once and model.sharing == "padded"
    calls = blocks_that_run(model)
    interp.importance(split, space, held, by="occlusion", progress=False)
    assert calls.count(model.blocks[0]) == 1  # one pass reads what the layer holds, and stops there
    assert calls.count(model.blocks[1]) >= 1


def test_the_scores_explained_are_those_of_the_text_itself() -> None:
    model = tiny_classifier()
    split, space = model.split(0), space_of()
    held = split.activations(TEXTS, granularity="word", progress=False)
    found = interp.importance(split, space, held, by="integrated-gradients", progress=False)
    for i, text in enumerate(TEXTS):
        states = split.states(_evaluator(model), [model.encoder(text)])[0]
        codes = space.encode(held.values[held.rows_of(i)])
        without = states.clone()
        without[1:-1] -= space.decode(codes) - space.decode(torch.zeros_like(codes))
        intact, emptied = split.resume([states, without], [model.encoder(text)] * 2)
        assert torch.allclose(found.per_text[i].sum(-1), intact - emptied, atol=1e-3)


def test_a_generator_is_asked_about_next_tokens() -> None:
    model = tiny_generator()
    split, space = model.split(0), space_of()
    held = split.activations(TEXTS, granularity="word", progress=False)
    found = interp.importance(split, space, held, targets=["good", interp.contrast("good", "bad")], progress=False)
    assert found.targets == ("good", "good - bad") and found.per_text.shape == (4, 2, 6)
    assert bool((found.per_text.abs().sum((0, 2)) > 0).all())
    with pytest.raises(TargetError, match="name the next tokens"):
        interp.importance(split, space, held, targets="all", progress=False)


def test_the_class_of_each_text_can_be_the_target() -> None:
    model = tiny_classifier()
    split, space = model.split(-1), space_of()
    held = split.activations(TEXTS, granularity="cls", predictions=True, progress=False)
    own = interp.importance(split, space, held, targets="predicted", progress=False)
    every = interp.importance(split, space, held, targets="all", progress=False)
    picked = every.per_text[torch.arange(4), held.predictions]
    assert own.targets == ("predicted class",) and torch.allclose(own.per_text[:, 0], picked, atol=1e-6)


def test_nothing_is_changed_and_what_does_not_belong_together_is_refused() -> None:
    model = tiny_classifier()
    model.model.train()
    before = state_of(model)
    held = model.split(-1).activations(TEXTS, granularity="cls", progress=False)
    with pytest.raises(InputError, match="must be the same"):
        interp.importance(model.split(0), space_of(), held)
    with pytest.raises(InputError, match="width 8"):
        interp.importance(model.split(-1), space_of(8, 4), held)
    interp.importance(model.split(-1), space_of(), held, progress=False)
    assert state_of(model) == before


def test_importance_survives_saving(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    held = model.split(-1).activations(TEXTS, granularity="cls", progress=False)
    found = interp.importance(model.split(-1), space_of(), held, progress=False)
    again = interp.Importance.load(found.save(tmp_path / "importance.safetensors"))
    assert torch.equal(again.per_text, found.per_text) and again.targets == found.targets
    assert again.made_by == found.made_by and again.top(0) == found.top(0)


def _evaluator(model: interp.TextModel):  # type: ignore[no-untyped-def]
    from interp_core.model import BatchRunner

    return BatchRunner(model)
