"""Drops and correlations that are known."""

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, linear_world, planted_model, tiny_generator
from interp_source_metrics.linear_datamodelling import LinearDatamodellingScore
from interp_source_metrics.log_probability_drop import LogProbabilityDrop
from scipy.stats import spearmanr

test_contract_of_drop = contract_tests("log-probability-drop")
test_contract_of_correlation = contract_tests("linear-datamodelling-score")


def attribution(question: Question, scores: torch.Tensor) -> Attribution:
    return Attribution(question.text, question.units, question.targets, scores, MadeBy("given"))


@pytest.mark.parametrize("units", [4, 9, 200])
def test_the_truth_of_a_linear_score_foretells_every_half(units: int) -> None:
    question, truth = linear_world(2, units, 3)
    score = LinearDatamodellingScore().measure(attribution(question, truth), question)
    assert score.value == pytest.approx(1.0, abs=1e-3) and score.values.shape == (3,)
    reverse = LinearDatamodellingScore().measure(attribution(question, -truth), question)
    assert reverse.value == pytest.approx(-1.0, abs=1e-3)


def test_few_units_are_asked_for_all_their_subsets() -> None:
    question = ask(lambda v: v[:, :, 0].prod(1, keepdim=True) + v[:, 0], torch.ones(3, 1))
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    keep = (torch.arange(8)[:, None] >> torch.arange(3)) % 2 == 1
    expected = spearmanr(keep.float() @ scores[0], question.masked(keep)[:, 0]).statistic
    value = LinearDatamodellingScore(samples=8).measure(attribution(question, scores), question).value
    assert value == pytest.approx(expected) and 0 < value < 1
    assert question.rows == 8


def test_halves_are_new_ones() -> None:
    """Not those that a method with the same seed was fitted to."""
    question, truth = linear_world(0, 20, 1)
    asked = []
    masked = question.runner.masked
    question.runner.masked = lambda keep: asked.append(keep) or masked(keep)
    LinearDatamodellingScore(seed=0).measure(attribution(question, truth), question)
    drawn = torch.rand(64, 20, generator=torch.Generator().manual_seed(0)) < 0.5
    (own,) = asked
    assert 0.4 < float(own.double().mean()) < 0.6 and len(own) == 64
    assert not {tuple(row) for row in own.tolist()} & {tuple(row) for row in drawn.tolist()}


def test_what_ranks_nothing_counts_as_zero_and_is_said() -> None:
    question, truth = linear_world(0, 9, 2)
    score = LinearDatamodellingScore().measure(attribution(question, truth * torch.tensor([[1.0], [0.0]])), question)
    assert score.values.tolist() == [pytest.approx(1.0, abs=1e-3), 0.0] and len(score.notes) == 1


def test_the_drop_is_that_of_the_best_units() -> None:
    weight = torch.tensor([1.0, 5.0, -2.0, 3.0])
    question = ask(lambda v: v[:, :, 0] @ weight[:, None], torch.ones(4, 1))
    score = LogProbabilityDrop().measure(attribution(question, weight[None]), question)
    assert [curve.tolist() for curve in score.curves] == [[5.0, 9.0, 7.0]]
    assert score.value == pytest.approx(7.0)
    assert LogProbabilityDrop(top=(2,)).measure(attribution(question, -weight[None]), question).value == -1.0


def test_the_drop_is_measured_in_log_probabilities_of_the_whole_answer() -> None:
    model = tiny_generator()
    (found,) = interp.attribute(
        model, "i feel so happy", by="occlusion", targets=" and the old cat", output="sample", progress=False
    )
    score = interp.measure(found, model, by="log-probability-drop", top=(1,), progress=False)
    assert score.made_by.settings["score"] == "log-probability"
    assert score.value == pytest.approx(float(found.scores.max()), abs=1e-4)
    assert score.chance is not None


def test_units_after_the_target_are_not_removed() -> None:
    question, truth = linear_world(0, 4, 1)
    applicable = torch.tensor([[True, True, False, False]])
    question = question.replace(applicable=applicable)
    large = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    score = LogProbabilityDrop(top=(4,)).measure(attribution(question, large), question)
    assert score.value == pytest.approx(float(truth[0, :2].sum()), abs=1e-5)


def test_true_sources_are_better_than_random_ones() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)})
    moods = ["happy but bad", "glad and never sad", "calm or glad", "bad but not sad", "happy and good"]
    texts = [f"i feel so {mood} today when the cat was old" for mood in moods]
    found = interp.attribute(model, texts, by="occlusion", targets=0, progress=False)
    for name in ("log-probability-drop", "linear-datamodelling-score"):
        score = interp.measure(found, model, by=name, progress=False)
        assert score.margin is not None and score.margin[0] > 0.1
    assert score.value == pytest.approx(1.0, abs=0.02) and abs(score.chance) < 0.2


def test_a_metric_measures_in_its_own_space_unless_another_is_given() -> None:
    model = planted_model({"happy": (2.0, -2.0)})
    found = interp.attribute(model, "so happy", by="occlusion", targets=0, progress=False)
    values = {
        space: interp.measure(found, model, by="log-probability-drop", score=space, chance=False, progress=False)
        for space in (None, "log-probability", "logit")
    }
    assert values[None].value == values["log-probability"].value != values["logit"].value
    entropy = interp.attribute(model, "so happy", by="occlusion", targets=0, score="entropy", progress=False)
    for space in (None, "entropy"):
        with pytest.raises(InputError, match="LogProbabilityDrop measures in log-probability, and an entropy has none"):
            interp.measure(entropy, model, by="log-probability-drop", score=space, chance=False, progress=False)
    told = interp.measure(entropy, model, by="linear-datamodelling-score", chance=False, progress=False)
    assert told.made_by.settings["score"] == "entropy"


@pytest.mark.usefixtures("unchecked")
def test_parameters_that_make_no_sense_are_refused() -> None:
    for top in ((), 3, "3", (1.5,), ("a",), (0, 1)):
        with pytest.raises(InputError, match="top is"):
            LogProbabilityDrop(top=top)
    with pytest.raises(InputError, match="at least 4"):
        LinearDatamodellingScore(samples=2)
