"""Completeness of attributions whose sums are known."""

from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_completeness.completeness import Completeness
from interp_core.attribution import Attribution, Question, ask
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, linear_world, planted_model, tiny_classifier, tiny_generator

test_contract = contract_tests("completeness")

WORTH = {"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)}


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


@pytest.mark.parametrize(("factor", "missed"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (2.0, 1.0), (-1.0, 2.0)])
def test_the_miss_is_relative_to_what_there_is_to_explain(factor: float, missed: float) -> None:
    question, truth = linear_world(1, 7, 3)
    found = Completeness().measure(attribution(question, factor * truth), question)
    assert found.values is not None and found.values.tolist() == pytest.approx([missed] * 3, abs=1e-5)


def test_each_target_has_its_own_difference() -> None:
    question = ask(lambda v: torch.stack([v.sum((1, 2)), -3 * v[:, 0, 0]], dim=1), torch.ones(2, 1))
    found = Completeness().measure(attribution(question, [[1.0, 1.5], [-3.0, 0.0]]), question)
    assert found.values is not None and found.values.tolist() == [0.25, 0.0]


@pytest.mark.parametrize(
    ("scores", "missed"), [([0, 0, 0], 0.0), ([1, -1, 0], 0.0), ([1, 1, 2], 1.0), ([3, -1, 0], 0.5)]
)
def test_where_there_is_nothing_to_explain_it_is_relative_to_the_attributions(scores: list[int], missed: float) -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] * 0 + 0.37, torch.ones(3, 1))
    found = Completeness().measure(attribution(question, scores), question)
    assert found.value == pytest.approx(missed) and "changes nothing" in found.notes[0]


def test_a_difference_by_rounding_alone_is_nothing_to_explain() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] + 0.37, torch.full((3, 1), 3e-8))
    assert float(question.intact()) != float(question.emptied())
    assert Completeness().measure(attribution(question, [0.0, 0.0, 0.0]), question).value == 0


def test_units_that_cannot_matter_stay_and_do_not_count() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.tensor([[1.0], [2.0], [100.0]]))
    question = question.replace(applicable=torch.tensor([[True, True, False]]))
    found = Completeness().measure(attribution(question, [1.0, 2.0, 50.0]), question)
    assert found.value == pytest.approx(0) and not found.notes


def test_contributions_to_logits_are_measured_on_logits() -> None:
    model = planted_model(WORTH)
    texts = ["i feel so happy today", "glad and never sad", "a bad day"]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    score = interp.measure(found, model, by="completeness", progress=False)
    assert score.made_by.settings["score"] == "logit" and score.value == pytest.approx(0, abs=1e-5)
    assert score.chance is not None and score.chance > 0.1
    assert interp.measure(found, model, by="completeness", score="probability", progress=False).value > 0.5


def test_and_contributions_to_probabilities_on_probabilities() -> None:
    model = planted_model(WORTH)
    found = interp.attribute(model, ["so happy"], by="occlusion", score="probability", progress=False)
    score = interp.measure(found, model, by="completeness", progress=False)
    assert score.made_by.settings["score"] == "probability" and score.value == pytest.approx(0, abs=1e-5)


def test_a_path_with_more_steps_misses_less_for_classes_and_for_tokens() -> None:
    for model in (tiny_classifier(), tiny_generator()):
        missed = []
        for steps in (2, 60):
            limit = {"max_new_tokens": 2} if model.head == "causal" else {}
            by = {"by": "integrated-gradients", "steps": steps, **limit}
            found = interp.attribute(model, ["i feel so happy", "the dog was old"], progress=False, **by)
            score = interp.measure(found, model, by="completeness", progress=False)
            assert score.values is not None and len(score.values) == sum(len(a.targets) for a in found)
            missed.append(score.value)
        assert missed[1] < 0.02 < missed[0]


def test_on_a_real_classifier_a_complete_method_misses_little(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:5]
    complete = interp.attribute(model, texts, by="integrated-gradients", steps=30, progress=False)
    other = interp.attribute(model, texts, by="occlusion", progress=False)
    low, high = (interp.measure(found, model, by="completeness", progress=False) for found in (complete, other))
    assert low.value < 0.05 < high.value
