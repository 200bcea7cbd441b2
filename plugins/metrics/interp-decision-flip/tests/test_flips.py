"""Decisions that flip where they must, against the model asked by hand."""

from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InterpError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, planted_model, tiny_classifier, tiny_generator
from interp_decision_flip.flips import DecisionFlip, FlipFraction, without_best

test_contract = contract_tests("decision-flip")
test_contract_of_the_fraction = contract_tests("flip-fraction")

WORTH = {"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0), "calm": (0.1, -0.1)}


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def against_zero(contributions: list[float]) -> Question:
    """Class 0 while the sum of what is kept is above zero, else class 1."""

    def f(v: torch.Tensor) -> torch.Tensor:
        total = v.sum((1, 2))
        return torch.stack([total - 1e-3, torch.zeros_like(total)], dim=1)

    return ask(f, torch.tensor(contributions)[:, None])


def flips(question: Question, scores: list[float]) -> tuple[float, float]:
    """Of the first class."""
    made = attribution(question, [scores, scores])
    found = [metric.measure(made, question).values for metric in (DecisionFlip(), FlipFraction())]
    return float(found[0][0]), float(found[1][0])


def test_rows_lack_the_best_units_one_after_the_other() -> None:
    keep = without_best(torch.tensor([1.0, 3.0, 9.0, 2.0]), torch.tensor([True, True, False, True]))
    assert keep.tolist() == [[True, False, True, True], [True, False, True, False], [False, False, True, False]]


def test_the_top_unit_decides_alone() -> None:
    assert flips(against_zero([3.0, -1.0, -1.0, 0.5]), [3.0, -1.0, -1.0, 0.5]) == (1.0, 0.25)


def test_several_units_must_go_where_each_would_do() -> None:
    question = against_zero([2.0, 2.0, 2.0, -1.0, -1.5])
    assert flips(question, [2.0, 2.0, 2.0, -1.0, -1.5]) == (0.0, pytest.approx(2 / 5))
    assert flips(question, [-2.0, -2.0, -2.0, 1.0, 1.5]) == (0.0, pytest.approx(5 / 5))


def test_the_first_change_counts_even_if_the_decision_comes_back() -> None:
    """Above zero, below it without the first unit, and above it again without the first two."""
    assert flips(against_zero([1.0, -1.0, 0.5, 0.25]), [9.0, 8.0, 7.0, 6.0]) == (1.0, 0.25)
    assert flips(against_zero([0.1, 1.0, -1.0, 0.5]), [9.0, 8.0, 7.0, 6.0]) == (0.0, 0.5)


def test_a_constant_decision_never_flips() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] * 0 + torch.tensor([1.0, 0.0]), torch.ones(6, 1))
    assert flips(question, [6.0, 5, 4, 3, 2, 1]) == (0.0, 1.0)


def test_the_oracle_flips_sooner_than_random_orders_and_these_sooner_than_the_reversed_one() -> None:
    weight = torch.randn(15, generator=torch.Generator().manual_seed(0))
    weight *= weight.sum().sign()
    question = against_zero(weight.tolist())
    random = [flips(question, torch.rand(15, generator=torch.Generator().manual_seed(i)).tolist()) for i in range(30)]
    mean = [sum(values) / 30 for values in zip(*random, strict=True)]
    best, worst = flips(question, weight.tolist()), flips(question, (-weight).tolist())
    assert best[1] < mean[1] < worst[1] and best[0] >= mean[0] >= worst[0]


def test_units_that_cannot_matter_are_never_removed() -> None:
    question = against_zero([3.0, -1.0, -1.0, 100.0])
    question = question.replace(applicable=torch.tensor([[True, True, True, False]] * 2))
    assert flips(question, [3.0, -1.0, -1.0, 9.0]) == (0.0, 1.0)
    few = against_zero([3.0, -1.0, -1.0, 0.5])
    few = few.replace(applicable=question.applicable)
    assert flips(few, [3.0, -1.0, -1.0, 9.0]) == (1.0, pytest.approx(1 / 3))
    question = question.replace(applicable=torch.zeros(2, 4, dtype=torch.bool))
    assert flips(question, [3.0, -1.0, -1.0, 9.0]) == (0.0, 1.0)


def test_a_planted_classifier_decides_by_its_words() -> None:
    """Without `happy` the sad words win; `calm` and `glad` hold each other up until both are gone."""
    model = planted_model(WORTH)
    texts = ["so happy but bad", "calm and glad", "glad but sad"]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    flip, fraction = (interp.measure(found, model, by=n, progress=False) for n in ("decision-flip", "flip-fraction"))
    assert flip.values is not None and flip.values.tolist() == [1.0, 0.0, 1.0]
    assert fraction.values is not None and fraction.values.tolist() == pytest.approx([1 / 4, 1.0, 1 / 3])
    assert flip.value == pytest.approx(2 / 3) and flip.chance is not None and flip.chance < flip.value


def test_decisions_are_those_of_the_model_with_masked_ids() -> None:
    model = tiny_classifier(seed=3, labels=4)
    texts = ["i feel so happy today", "the dog was old and tired", "never a good day", "the sun and the rain"]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    expected = []
    for made in found:
        assert made.encoded is not None and made.encoded.unit_of is not None
        ids, classes = made.encoded.ids.clone(), []
        for unit in [None, *made.scores[0].argsort(descending=True).tolist()]:
            ids[made.encoded.unit_of == (-2 if unit is None else unit)] = model.tokenizer.mask_token_id
            with torch.no_grad():
                classes.append(int(model.model(input_ids=ids[None]).logits.argmax()))
        changed = [i for i, c in enumerate(classes) if c != classes[0]]
        expected.append((float(1 in changed), changed[0] / len(made.units) if changed else 1.0))
    for i, name in enumerate(("decision-flip", "flip-fraction")):
        score = interp.measure(found, model, by=name, progress=False)
        assert score.values is not None and score.values.tolist() == pytest.approx([e[i] for e in expected])
    assert 0 < sum(e[1] for e in expected) < 4  # some decision does flip


def test_a_class_of_several_is_on_or_off() -> None:
    model = tiny_classifier(labels=3, problem_type="multi_label_classification")
    found = interp.attribute(model, ["i feel so happy", "the dog"], by="occlusion", targets="all", progress=False)
    score = interp.measure(found, model, by="decision-flip", progress=False)
    expected = []
    for made in found:
        assert made.encoded is not None and made.encoded.unit_of is not None
        for k, row in enumerate(made.scores):
            ids = made.encoded.ids.clone()
            with torch.no_grad():
                before = model.model(input_ids=ids[None]).logits[0, k] > 0
                ids[made.encoded.unit_of == int(row.argmax())] = model.tokenizer.mask_token_id
                expected.append(float(before != (model.model(input_ids=ids[None]).logits[0, k] > 0)))
    assert score.values is not None and score.values.tolist() == expected


def test_a_generator_decides_the_next_token() -> None:
    """The greedy continuation is what it decides, and the tokens after the one that is explained are kept."""
    model = tiny_generator()
    found = interp.attribute(model, ["i feel so happy today"], by="occlusion", max_new_tokens=3, progress=False)
    [made] = found
    assert made.encoded is not None and made.encoded.unit_of is not None and made.applicable is not None
    expected = []
    for k, target in enumerate(made.targets):
        scores = made.scores[k].masked_fill(~made.applicable[k], -torch.inf)
        ids = made.encoded.ids.clone()
        ids[made.encoded.unit_of == int(scores.argmax())] = model.tokenizer.mask_token_id
        with torch.no_grad():
            chosen = model.model(input_ids=ids[None]).logits[0, target.position - 1].argmax()
        expected.append(float(int(chosen) != target.index))
    score = interp.measure(found, model, by="decision-flip", progress=False)
    assert score.values is not None and score.values.tolist() == expected
    shares = interp.measure(found, model, by="flip-fraction", progress=False).values
    assert shares is not None and len(shares) == 3 and bool(((shares > 0) & (shares <= 1)).all())


def test_a_regression_decides_nothing() -> None:
    model = tiny_classifier(labels=1, problem_type="regression")
    found = interp.attribute(model, ["i feel so happy"], by="occlusion", progress=False)
    with pytest.raises(InterpError, match="regression decides nothing"):
        interp.measure(found, model, by="decision-flip", progress=False)


def test_on_a_real_classifier_the_emotion_word_decides(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:6]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    flip = interp.measure(found, model, by="decision-flip", progress=False)
    assert flip.chance is not None and flip.value > flip.chance + 0.2
