"""Concepts on a real trained classifier and generator: what they cost, and that what they say can be checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution._session import MOST_IN_FLIGHT
from interp_core.concepts._questions import TEXTS_AT_A_TIME

pytestmark = [pytest.mark.slow, pytest.mark.real]

Model = Callable[[str], interp.TextModel]
Texts = Callable[..., list[str]]


@pytest.fixture(scope="module")
def emotion(real_model: Model, real_texts: Texts) -> tuple[Any, Any]:
    """The classifier split at its last block, and 400 texts read there with their labels."""
    model = real_model("emotion-minilm")
    texts = real_texts("emotion")[:400]
    labels = real_texts("emotion", column="label")[:400]
    split = model.split(-1)
    return split, split.activations(texts, granularity="cls", predictions=True, labels=labels, progress=False)


@pytest.fixture(scope="module")
def space(emotion: tuple[Any, Any]) -> interp.ConceptSpace:
    return interp.fit_concepts(emotion[1], by="semi-nmf", concepts=20)


def test_importance_runs_the_head_once_a_batch_and_nothing_below_it(
    emotion: tuple[Any, Any], space: interp.ConceptSpace, blocks_that_run: Any
) -> None:
    """400 texts, 20 concepts, 6 classes: more than are held at once, so that their parts are seen as well."""
    split, held = emotion
    assert split.head_reads_one_row  # tried once for a model, on a text of four words
    seen = blocks_that_run(split.model)
    found = interp.importance(split, space, held, by="input-x-gradient", progress=False)
    full, rest = divmod(len(held.texts), TEXTS_AT_A_TIME)
    batches = full * math.ceil(TEXTS_AT_A_TIME / MOST_IN_FLIGHT) + math.ceil(rest / MOST_IN_FLIGHT)
    assert found.per_text.shape == (400, 6, 20)
    assert found.made_by.cost.forwards <= batches
    assert found.made_by.cost.rows == found.made_by.cost.tokens == 400
    assert not set(seen)


def test_importance_by_occlusion_is_what_taking_a_concept_away_does(
    emotion: tuple[Any, Any], space: interp.ConceptSpace
) -> None:
    split, held = emotion
    some = held.select(torch.arange(len(held.texts)) < 60)
    taken = interp.importance(split, space, some, by="occlusion", progress=False)
    best = taken.top("joy", 1)[0][0]
    effect = interp.effect(split, space, some, interp.Change(ablate=[best]), progress=False)
    assert torch.allclose(effect.per_text, -taken.per_text[:, :, best], atol=1e-4)


def test_the_concept_of_a_class_moves_the_answer_of_the_running_model(emotion: tuple[Any, Any]) -> None:
    """The mean difference of joy, added to what the last block holds, makes the model say joy."""
    split, held = emotion
    joy = interp.fit_concepts(held, by="mean-difference")
    model, number = split.model, list(held.class_names).index("joy")
    texts = [t for t, p in zip(held.texts, held.predictions.tolist(), strict=True) if p != number][:20]
    before = split.activations(texts, granularity="cls", predictions=True, progress=False).predictions
    scale = float(joy.encode(held.matrix())[:, number].abs().max())
    with interp.intervene(split, joy, add={"joy": 2 * scale}):
        after = split.activations(texts, granularity="cls", predictions=True, progress=False).predictions
    assert not (before == number).any()
    assert (after == number).float().mean() >= 0.9
    assert torch.equal(
        split.activations(texts, granularity="cls", predictions=True, progress=False).predictions, before
    )
    assert not model.model.get_submodule(split.path)._forward_hooks


def test_the_emotion_word_lights_the_concept_of_its_class(emotion: tuple[Any, Any]) -> None:
    split, held = emotion
    probe = interp.fit_concepts(held, by="linear-probe", folds=0)
    model = interp.ConceptModel(split, probe)
    texts = ["i feel so angry about the weather today", "i was terrified of the dark house", "i am sad without you"]
    wanted = [("anger", "angry"), ("fear", "terrified"), ("sadness", "sad")]
    for by in ("integrated-gradients", "occlusion"):
        for text, (name, word) in zip(texts, wanted, strict=True):
            [found] = interp.attribute(model, [text], by=by, targets=name, granularity="word", progress=False)
            assert found.top()[0][0] == word, (by, text, found.top())


def test_concepts_of_a_real_generator_are_learnt_moved_and_asked_for(real_model: Model, real_texts: Texts) -> None:
    model = real_model("lm-tiny")
    split = model.split(2)
    held = split.activations(real_texts("emotion")[:80], granularity="token", progress=False)
    learnt = interp.fit_concepts(held, by="pca", concepts=16)
    kept = interp.measure(learnt, held, split, by="loss-recovered")
    assert kept.chance is not None and kept.chance < kept.value <= 1.01
    some = held.select(torch.arange(len(held.texts)) < 8)
    effect = interp.effect(split, learnt, some, interp.Change(ablate=[0]), targets=[" happy"], progress=False)
    assert effect.per_text.shape == (8, 1) and bool(effect.per_text.any())
    [found] = interp.attribute(
        interp.ConceptModel(split, learnt), [held.texts[0]], by="integrated-gradients", targets=[0], progress=False
    )
    assert bool(found.scores.any())
