"""Recovered loss, logits and accuracy: identity 1, zeros 0, and the formulas against whole passes of the model."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import at_rest, tap
from interp_core.testing import contract_tests, tiny_classifier, tiny_filler, tiny_generator
from interp_recovered.recovered import chance, changes
from interp_recovered.replacing import Answers
from torch import Tensor
from torch.nn.functional import cross_entropy

METRICS = ("loss-recovered", "logit-recovered", "concept-completeness")
test_loss_contract = contract_tests("loss-recovered")
test_logit_contract = contract_tests("logit-recovered")
test_completeness_contract = contract_tests("concept-completeness")

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad rain", "glad", "warm sun and cold rain", "cat"]
EYE = torch.eye(16)


def spread_out() -> Any:
    """A classifier that is sure of its answers, and does not give the same one to all texts."""
    model = tiny_classifier()
    with torch.no_grad():
        model.model.classifier.weight.mul_(30)
        pooled = torch.cat([model.model.bert(model.encoder(text).ids[None]).pooler_output for text in TEXTS])
        model.model.classifier.bias -= (pooled @ model.model.classifier.weight.T).mean(0)
    return model


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
    model = spread_out()
    labels = (
        model.split(-1).activations(TEXTS, granularity="cls", predictions=True, progress=False).predictions.tolist()
    )
    split, activations = held(model, -1 if granularity == "cls" else 0, granularity, labels=labels)
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
    assert zero > whole
    score = interp.measure(space, activations, split, by="loss-recovered")
    assert score.value == pytest.approx(float((zero - rebuilt) / (zero - whole)), abs=1e-3)


def test_logits_recovered_of_a_linear_head_is_quadratic_in_what_is_missing() -> None:
    """With half of each row, a linear path from the rows to the logits misses half: 1 - 1/4."""
    model = tiny_classifier()
    with torch.no_grad():
        model.model.bert.pooler.dense.weight.mul_(1e-3)  # tanh is linear there
    split, activations = held(model, -1, "cls")
    score = interp.measure(scaled(0.5), activations, split, by="logit-recovered")
    assert score.value == pytest.approx(0.75, abs=1e-3)


def test_completeness_counts_answers_that_stay() -> None:
    model = spread_out()
    split, activations = held(model, -1, "cls", predictions=True)
    direction = torch.nn.functional.normalize(torch.arange(1.0, 17.0)[None], dim=1)
    space = AffineSpace(direction, direction)
    with torch.no_grad():
        rebuilt = space(activations.matrix())
        stay = model.model.classifier(model.model.bert.pooler(rebuilt[:, None])).argmax(1) == activations.predictions
    guess = float(torch.bincount(activations.predictions).max()) / len(TEXTS)
    assert guess < 1
    expected = (float(stay.float().mean()) - guess) / (1 - guess)
    assert interp.measure(space, activations, split, by="concept-completeness").value == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("metric", METRICS)
def test_labels_of_other_classes_than_the_models_are_refused(metric: str) -> None:
    names = ["LABEL_1", "LABEL_0", "LABEL_2"]
    split, activations = held(tiny_classifier(), -1, "cls", labels=[0, 1, 2, 0, 1, 2], class_names=names)
    with pytest.raises(InputError, match="give activations without labels"):
        interp.measure(scaled(1.0), activations, split, by=metric)


@pytest.mark.parametrize("metric", METRICS)
def test_a_split_of_another_layer_is_refused(metric: str) -> None:
    _, activations = held(tiny_classifier(), -1, "cls")
    with pytest.raises(InputError, match="the model is split at"):
        interp.measure(scaled(1.0), activations, tiny_classifier().split(0), by=metric)


@pytest.mark.parametrize("metric", METRICS)
def test_a_text_of_one_token_is_left_out(metric: str, real_model: Any) -> None:
    split = real_model("lm-tiny").split(1)
    assert len(split.model.encoder("the")) == 1
    texts = ["the", "i feel so happy today", "to be or not to be", "i am feeling a little sad"]
    short, rest = (split.activations(some, progress=False) for some in (texts, texts[1:]))
    space = interp.fit_concepts(rest, by="pca", concepts=8)
    values = [interp.measure(space, activations, split, by=metric).value for activations in (short, rest)]
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_a_shift_of_all_logits_counts_where_each_is_an_answer() -> None:
    whole = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    several, one = (Answers(whole, whole + 1.0, whole + 2.0, whole, kind) for kind in (True, False))
    assert changes(several).tolist() == pytest.approx([4.0, 16.0])
    assert changes(one).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_chance_is_the_best_constant_answer_text_by_text() -> None:
    """Nine tokens of one text and one each of two others: a text counts once."""
    rights = [torch.zeros(9, dtype=torch.long), torch.tensor([1]), torch.tensor([1])]
    assert chance(rights) == pytest.approx(2 / 3)


def test_a_model_with_another_head_is_refused() -> None:
    split, activations = held(tiny_filler())
    with pytest.raises(UnsupportedError, match="'masked'"):
        interp.measure(scaled(1.0), activations, split, by="loss-recovered")


def test_the_split_must_be_given() -> None:
    _, activations = held(tiny_classifier(), -1, "cls")
    with pytest.raises(InputError, match="SplitModel"):
        interp.measure(scaled(1.0), activations, by="loss-recovered")
