"""Monotonicity against scipy, the sources' own definition, and scores whose steps are known."""

import itertools
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import (
    contract_tests,
    linear_world,
    planted_model,
    tangled_world,
    tiny_classifier,
    tiny_generator,
)
from interp_monotonicity.monotonicity import Monotonicity
from interp_monotonicity.ranks import ranks
from scipy.stats import rankdata, spearmanr

test_contract = contract_tests("monotonicity")

FORMS = ("rank", "share", "all")


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def additive(contributions: list[float]) -> Question:
    return ask(lambda v: v.sum((1, 2))[:, None] + 0.5, torch.tensor(contributions)[:, None])


def by_hand(question: Question, scores: list[float]) -> list[float]:
    """What each unit adds as units come back, lowest first, and the first of equal ones first."""
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    keep = torch.zeros(len(scores) + 1, len(scores), dtype=torch.bool)
    for i, unit in enumerate(order):
        keep[i + 1 :, unit] = True
    return question.masked(keep)[:, 0].diff().tolist()


@pytest.mark.parametrize("form", FORMS)
def test_a_positive_linear_model_is_monotone(form: str) -> None:
    contributions = [0.5, 3.0, 1.0, 2.0, 0.25]
    question = additive(contributions)
    assert Monotonicity(form).measure(attribution(question, contributions), question).value == pytest.approx(1)


def test_by_rank_so_is_a_linear_model_of_any_signs_and_its_reverse_is_not() -> None:
    question, truth = linear_world(3, 9, 4)
    assert Monotonicity().measure(attribution(question, truth), question).value == pytest.approx(1)
    assert Monotonicity().measure(attribution(question, -truth), question).value == pytest.approx(-1)


def test_on_a_positive_linear_model_only_the_rank_tells_orders_apart() -> None:
    contributions = [1.0, 2.0, 3.0, 4.0]
    question = additive(contributions)
    for order in itertools.permutations(contributions):
        made = attribution(question, list(order))
        assert Monotonicity("share").measure(made, question).value == 1
        assert Monotonicity("all").measure(made, question).value == 1
        expected = spearmanr(order, contributions).statistic
        assert Monotonicity().measure(made, question).value == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_scipys_spearman_and_the_sources_verdict_on_a_score_with_interactions(seed: int) -> None:
    question = tangled_world(seed, units=7, targets=1)
    scores = torch.randn(7, generator=torch.Generator().manual_seed(seed)).tolist()
    steps, made = by_hand(question, scores), attribution(question, scores)
    assert Monotonicity().measure(made, question).value == pytest.approx(spearmanr(sorted(scores), steps).statistic)
    rises = [step >= 0 for step in steps]
    assert Monotonicity("share").measure(made, question).value == pytest.approx(sum(rises) / 7)
    assert Monotonicity("all").measure(made, question).value == float(all(rises))


def test_ranks_are_scipys_with_ties_up_to_rounding() -> None:
    values = torch.tensor([3.0, 1.0, 3.0, -2.0, 1.0, 1.0, 7.0])
    assert (ranks(values, 0.0) + 1).tolist() == rankdata(values.numpy()).tolist()
    shaken = values + 1e-8 * torch.randn(7, generator=torch.Generator().manual_seed(0))
    assert ranks(shaken.double(), 1e-6).tolist() == ranks(values, 0.0).tolist()


def test_equal_contributions_share_their_rank_in_spite_of_rounding() -> None:
    contributions = [0.1, 0.7, 0.1, 0.3, 0.1, 0.3]
    question = additive(contributions)
    assert Monotonicity().measure(attribution(question, contributions), question).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("contributions", "scores"), [([0.0] * 3, [1, 2, 3]), ([1.0, 2.0, 3.0], [1] * 3), ([2.0], [1])]
)
def test_without_an_order_the_rank_is_zero_and_says_so(contributions: list[float], scores: list[float]) -> None:
    question = additive(contributions)
    found = Monotonicity().measure(attribution(question, scores), question)
    assert found.value == 0 and "no order to compare" in found.notes[0]
    assert Monotonicity("share").measure(attribution(question, scores), question).value == 1


def test_a_fall_by_rounding_alone_is_no_fall() -> None:
    question = additive([1.0, -1.2e-7])
    assert float(question.intact()) < 1.5
    assert Monotonicity("all").measure(attribution(question, [1.0, 2.0]), question).value == 1


def test_units_that_cannot_matter_are_there_from_the_start() -> None:
    question = ask(lambda v: v[:, :, 0].prod(1, keepdim=True), torch.tensor([[2.0], [3.0], [5.0]]), torch.ones(3, 1))
    question = question.replace(applicable=torch.tensor([[True, True, False]]))
    made = attribution(question, [2.0, 3.0, -9.0])
    assert Monotonicity().measure(made, question).value == pytest.approx(1) and question.rows == 3
    question = question.replace(applicable=torch.zeros(1, 3, dtype=torch.bool))
    assert Monotonicity().measure(made, question).value == 0
    assert Monotonicity("all").measure(made, question).value == 1


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(InputError, match="'steps' is unknown; it is one of rank, share, all"):
        Monotonicity(form="steps")


def test_the_definition_says_the_form_and_the_order() -> None:
    assert {"Spearman", "share", "else 0"} == {
        word for word in ("Spearman", "share", "else 0") for form in FORMS if word in Monotonicity(form).definition
    }
    assert all("lowest signed attribution first" in Monotonicity(form).definition for form in FORMS)


def test_on_a_planted_model_the_truth_beats_the_random_floor() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)})
    texts = [f"i feel {mood} today" for mood in ("happy but bad", "glad and never sad", "bad but not sad")]
    found = interp.attribute(model, texts, by="occlusion", targets=0, progress=False)
    score = interp.measure(found, model, by="monotonicity", progress=False)
    assert score.chance is not None and score.value > 0.9 and abs(score.chance) < 0.4


def test_classes_and_generated_tokens_are_measured_each() -> None:
    classifier, generator = tiny_classifier(), tiny_generator()
    found = interp.attribute(classifier, ["i feel so happy", "the dog"], by="occlusion", targets="all", progress=False)
    tokens = interp.attribute(generator, ["i feel so", "the dog"], by="occlusion", max_new_tokens=3, progress=False)
    for model, made, count in ((classifier, found, 6), (generator, tokens, sum(len(a.targets) for a in tokens))):
        for name in ("monotonicity", "faithfulness-correlation"):
            score = interp.measure(made, model, by=name, progress=False)
            assert score.values is not None and len(score.values) == count and -1 <= score.value <= 1


def test_on_a_real_classifier_attributions_beat_random_orders(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:12]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    for name in ("monotonicity", "faithfulness-correlation"):
        score = interp.measure(found, model, by=name, progress=False)
        assert score.chance is not None and score.value > score.chance + 2 * score.chance_error
