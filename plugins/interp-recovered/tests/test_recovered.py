"""Recovered loss, logits and accuracy: identity 1, zeros 0, and the formulas against whole passes of the model."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.activations import Activations
from interp_core.affine import AffineSpace
from interp_core.errors import InputError, UnsupportedError
from interp_core.hooks import at_rest, tap
from interp_core.testing import contract_tests, tiny_classifier, tiny_filler, tiny_generator
from torch import Tensor
from torch.nn.functional import cross_entropy

METRICS = ("loss-recovered", "logit-recovered", "concept-completeness")
test_loss_contract = contract_tests("loss-recovered")
test_logit_contract = contract_tests("logit-recovered")
test_completeness_contract = contract_tests("concept-completeness")

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun and cold rain", "cat"]
EYE = torch.eye(16)


def scaled(by: float) -> AffineSpace:
    """Reconstructions are the rows times a number."""
    return AffineSpace(by * EYE, EYE)


def held(model: Any, layer: int = 0, granularity: str = "token", **more: Any) -> tuple[Any, Activations]:
    split = model.split(layer)
    return split, split.activations(TEXTS, granularity=granularity, progress=False, **more)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
@pytest.mark.parametrize("metric", METRICS[:2])
def test_identity_recovers_all_and_zeros_nothing(make: Any, metric: str) -> None:
    model = make()
    if make is tiny_classifier:
        with torch.no_grad():
            model.model.classifier.weight.mul_(30)  # sure of its own answers, so that zeros cost something
    split, activations = held(model, *((-1, "cls") if make is tiny_classifier else (0, "token")))
    if make is tiny_generator:
        activations = _memorised(split)
    for by, expected in ((1.0, 1.0), (0.0, 0.0)):
        score = interp.measure(scaled(by), activations, split, by=metric)
        assert score.value == pytest.approx(expected, abs=1e-4)


def _memorised(split: Any) -> Activations:
    """Texts that an untrained generator finds likely: its own continuations."""
    model = split.model
    ids = model.encoder("the old dog").ids[None]
    out = model.model.generate(ids, max_new_tokens=12, do_sample=False)
    text = model.tokenizer.decode(out[0], skip_special_tokens=True)
    found: Activations = split.activations([text] * 5, progress=False)
    return found


@pytest.mark.parametrize("granularity", ["token", "cls"])
def test_the_loss_is_that_of_the_model_with_replaced_rows(granularity: str) -> None:
    model = tiny_classifier()
    labels = [0, 1, 2, 0, 1, 2]
    split, activations = held(model, -1, granularity, labels=labels)
    space = interp.fit_concepts(activations, by="ica", concepts=3)

    def through(change: Any) -> Tensor:
        def replace(hidden: Tensor) -> Tensor:
            out, inside = hidden.clone(), slice(0, 1) if granularity == "cls" else slice(1, -1)
            out[:, inside] = change(hidden[:, inside].flatten(0, 1)).reshape(out[:, inside].shape)
            return out

        found = []
        for text, label in zip(TEXTS, labels, strict=True):
            ids = model.encoder(text).ids[None]
            with torch.no_grad(), at_rest(model.model), tap(model.model, split.path, replace=replace):
                found.append(cross_entropy(model.model(ids).logits, torch.tensor([label])))
        return torch.stack(found).mean()

    whole, rebuilt, zero = through(lambda x: x), through(space), through(torch.zeros_like)
    if zero > whole:
        score = interp.measure(space, activations, split, by="loss-recovered")
        assert score.value == pytest.approx(float((zero - rebuilt) / (zero - whole)), abs=1e-3)
    else:
        with pytest.raises(InputError, match="nothing to recover"):
            interp.measure(space, activations, split, by="loss-recovered")


def test_logits_recovered_of_a_linear_head_is_quadratic_in_what_is_missing() -> None:
    """With half of each row, a linear path from the rows to the logits misses half: 1 - 1/4."""
    model = tiny_classifier()
    with torch.no_grad():
        model.model.bert.pooler.dense.weight.mul_(1e-3)  # tanh is linear there
    split, activations = held(model, -1, "cls")
    score = interp.measure(scaled(0.5), activations, split, by="logit-recovered")
    assert score.value == pytest.approx(0.75, abs=1e-3)


def test_completeness_counts_answers_that_stay() -> None:
    model = tiny_classifier()
    split, activations = held(model, -1, "cls", predictions=True)
    direction = torch.nn.functional.normalize(torch.arange(1.0, 17.0)[None], dim=1)
    space = AffineSpace(direction, direction)
    with torch.no_grad():
        rebuilt = space(activations.matrix())
        stay = model.model.classifier(model.model.bert.pooler(rebuilt[:, None])).argmax(1) == activations.predictions
    chance = float(torch.bincount(activations.predictions).max()) / len(TEXTS)
    if chance == 1:
        with pytest.raises(InputError, match="no more often than chance"):
            interp.measure(space, activations, split, by="concept-completeness")
        return
    expected = (float(stay.float().mean()) - chance) / (1 - chance)
    assert interp.measure(space, activations, split, by="concept-completeness").value == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_of_other_classes_than_the_models_are_refused(metric: str) -> None:
    split, activations = held(tiny_classifier(), -1, "cls", labels=[0, 1, 2, 0, 1, 70])
    with pytest.raises(UnsupportedError, match="label 70 is no answer"):
        interp.measure(scaled(1.0), activations, split, by=metric)


def test_a_model_with_another_head_is_refused() -> None:
    split, activations = held(tiny_filler())
    with pytest.raises(UnsupportedError, match="'masked'"):
        interp.measure(scaled(1.0), activations, split, by="loss-recovered")


def test_the_split_must_be_given() -> None:
    _, activations = held(tiny_classifier(), -1, "cls")
    with pytest.raises(InputError, match="SplitModel"):
        interp.measure(scaled(1.0), activations, by="loss-recovered")
