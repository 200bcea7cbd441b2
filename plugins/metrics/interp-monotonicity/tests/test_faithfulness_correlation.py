"""Faithfulness correlation against numpy over all sets of a size, and additive scores."""

import itertools
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, linear_world, planted_model, tangled_world
from interp_monotonicity.correlation import FaithfulnessCorrelation

test_contract = contract_tests("faithfulness-correlation")


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


@pytest.mark.parametrize("units", [2, 7, 40])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_contributions_to_an_additive_score_correlate_fully(units: int, share: float) -> None:
    """The score adds up functions of one unit each, none of them linear."""
    x = torch.randn(units, 1, generator=torch.Generator().manual_seed(units))
    question = ask(lambda v: (v.sin() + v**2)[:, :, 0].sum(1, keepdim=True), x)
    truth = (x.sin() + x**2).T
    metric = FaithfulnessCorrelation(share=share)
    assert metric.measure(attribution(question, truth), question).value == pytest.approx(1, abs=1e-5)
    assert metric.measure(attribution(question, 3 * truth + 1), question).value == pytest.approx(1, abs=1e-5)
    assert metric.measure(attribution(question, -truth), question).value == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize(("share", "size"), [(0.3, 2), (0.5, 4), (0.01, 1), (0.99, 6)])
def test_it_is_numpys_correlation_over_all_sets_of_the_size(share: float, size: int) -> None:
    question = tangled_world(2, units=7, targets=2)
    scores = torch.randn(2, 7, generator=torch.Generator().manual_seed(1))
    found = FaithfulnessCorrelation(share=share).measure(attribution(question, scores), question)
    for k in range(2):
        told, falls = [], []
        for gone in itertools.combinations(range(7), size):
            keep = torch.ones(1, 7, dtype=torch.bool)
            keep[0, list(gone)] = False
            told.append(float(scores[k, list(gone)].sum()))
            falls.append(float(question.intact()[k] - question.masked(keep)[0, k]))
        assert found.values is not None
        assert float(found.values[k]) == pytest.approx(np.corrcoef(told, falls)[0, 1], abs=1e-5)


def test_random_sets_come_near_the_exact_answer_and_depend_on_the_seed() -> None:
    question = tangled_world(3, units=12, targets=1)
    made = attribution(question, torch.randn(1, 12, generator=torch.Generator().manual_seed(1)))
    exact = FaithfulnessCorrelation(samples=495, share=1 / 3).measure(made, question).value
    drawn = [FaithfulnessCorrelation(samples=490, share=1 / 3, seed=s).measure(made, question).value for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn == pytest.approx([exact] * 3, abs=0.12)


def test_the_truth_beats_random_attributions_and_these_beat_the_reversed_ones() -> None:
    question, truth = linear_world(0, 12, 1)
    metric = FaithfulnessCorrelation()
    random = [torch.rand(1, 12, generator=torch.Generator().manual_seed(i)) for i in range(30)]
    mean = sum(metric.measure(attribution(question, r), question).value for r in random) / 30
    best, worst = (metric.measure(attribution(question, s), question).value for s in (truth, -truth))
    assert best > mean + 0.5 and mean > worst + 0.5


@pytest.mark.parametrize(
    ("contributions", "scores"),
    [([0.0] * 4, [1, 2, 3, 4]), ([1.0, 2.0, 3.0, 4.0], [1] * 4), ([0.1] * 4, [0.1] * 4), ([2.0], [1])],
)
def test_where_nothing_varies_it_is_zero_and_says_so(contributions: list[float], scores: list[float]) -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] + 0.37, torch.tensor(contributions)[:, None])
    found = FaithfulnessCorrelation().measure(attribution(question, scores), question)
    assert found.value == 0 and "do not vary" in found.notes[0]


@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0, 4.0], [3e-8, 6e-8, 0.0, 3e-8]])
def test_what_varies_by_rounding_alone_does_not_vary(scores: list[float]) -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] + 0.37, torch.tensor([[3e-8], [6e-8], [0.0], [3e-8]]))
    assert float(question.intact()) != float(question.emptied())
    assert FaithfulnessCorrelation().measure(attribution(question, scores), question).value == 0
    steady = ask(lambda v: v.sum((1, 2))[:, None], torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    almost = [0.1 + 1e-8 * i for i in range(4)]
    assert FaithfulnessCorrelation().measure(attribution(steady, almost), steady).value == 0


def test_units_that_cannot_matter_are_never_removed() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.tensor([[1.0], [2.0], [4.0], [100.0]]))
    question = question.replace(applicable=torch.tensor([[True, True, True, False]]))
    made = attribution(question, [1.0, 2.0, 4.0, -9.0])
    assert FaithfulnessCorrelation().measure(made, question).value == pytest.approx(1)
    assert question.rows == 4
    question = question.replace(applicable=torch.zeros(1, 4, dtype=torch.bool))
    assert FaithfulnessCorrelation().measure(made, question).value == 0


def test_targets_and_attributions_share_their_sets() -> None:
    question = tangled_world(0, units=20, targets=3)
    for seed in range(3):
        scores = torch.randn(3, 20, generator=torch.Generator().manual_seed(seed))
        FaithfulnessCorrelation(samples=50).measure(attribution(question, scores), question)
    assert question.rows <= 51


def test_a_cap_on_rows_takes_fewer_sets() -> None:
    question = tangled_world(0, units=20, targets=2)
    question = question.with_budget(12)
    scores = torch.randn(2, 20, generator=torch.Generator().manual_seed(0))
    assert abs(FaithfulnessCorrelation().measure(attribution(question, scores), question).value) <= 1
    assert question.rows <= 12


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"share": 0.0}, {"share": 1.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 2 samples and a share above 0 and below 1"):
        FaithfulnessCorrelation(**wrong)


def test_contributions_to_logits_are_measured_on_logits() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0)})
    found = interp.attribute(model, ["i feel happy and glad", "glad and never sad"], by="occlusion", progress=False)
    score = interp.measure(found, model, by="faithfulness-correlation", progress=False)
    assert score.made_by.settings["score"] == "logit" and score.value == pytest.approx(1, abs=1e-5)
    assert "30%" in score.definition
