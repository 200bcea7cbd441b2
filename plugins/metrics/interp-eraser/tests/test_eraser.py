"""Bins, denominators and orders of comprehensiveness and sufficiency, against closed forms and all orders there are."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, planted_model, tiny_classifier, tiny_generator
from interp_eraser.erasure import Comprehensiveness, Sufficiency

test_contract = contract_tests("comprehensiveness")
test_contract_of_sufficiency = contract_tests("sufficiency")

TEN = [10.0, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def additive(contributions: list[float]) -> Question:
    return ask(lambda v: v.sum((1, 2))[:, None] + 0.5, torch.tensor(contributions)[:, None])


def test_the_bins_of_ten_units_are_one_one_one_two_and_five_units_and_none() -> None:
    """Without 10, 10, 10, 10 + 9 and 10 + 9 + 8 + 7 + 6; with nothing but them the rest is lost."""
    question = additive(TEN)
    falls, total = [0, 10, 10, 10, 19, 40], sum(TEN)
    made = attribution(question, TEN)
    assert Comprehensiveness().measure(made, question).value == pytest.approx(sum(falls) / 6)
    assert Sufficiency().measure(made, question).value == pytest.approx(sum(total - f for f in falls) / 6)


def test_without_the_empty_bin_it_is_the_plain_mean() -> None:
    question = additive(TEN)
    made = attribution(question, TEN)
    assert Comprehensiveness(empty_bin=False).measure(made, question).value == pytest.approx(89 / 5)
    assert Sufficiency(empty_bin=False).measure(made, question).value == pytest.approx((5 * 55 - 89) / 5)


@pytest.mark.parametrize(("share", "units", "removed"), [(10, 30, 3), (10, 31, 4), (1, 3, 1), (0.14 * 100, 50, 7)])
def test_numbers_of_units_are_rounded_up_and_not_by_errors_of_rounding(share: float, units: int, removed: int) -> None:
    question = additive([1.0] * units)
    found = Comprehensiveness(bins=[share], empty_bin=False).measure(attribution(question, range(units)), question)
    assert found.value == pytest.approx(removed, abs=1e-4)


def test_signed_attributions_count_from_the_highest_down() -> None:
    question = additive([1.0, -5.0, 2.0])
    found = Comprehensiveness(bins=[1], empty_bin=False).measure(attribution(question, [1.0, -5.0, 2.0]), question)
    assert found.value == pytest.approx(2.0)


@pytest.mark.parametrize("n", [2, 5, 7])
def test_of_all_orders_the_oracle_is_most_comprehensive_and_least_insufficient(n: int) -> None:
    """The score is the sigmoid of the sum of the weights kept; every order is a target, each bin computed again."""
    weight = np.array([2.0, -1.0, 0.5, 1.2, -0.3, 0.9, -0.8])[:n]
    sizes = [0, *(math.ceil(n * b / 100) for b in (1, 5, 10, 20, 50))]
    orders = np.array(list(itertools.permutations(range(n))))
    falls = []
    for part in np.array_split(orders, 1 + len(orders) // 1000):
        count = len(part)
        p = lambda v, count=count: torch.sigmoid(v.sum((1, 2)))[:, None].expand(-1, count)  # noqa: E731
        question = ask(p, torch.tensor(weight)[:, None].float())
        made = attribution(question, (n - part.argsort(1)).tolist())
        falls.append([m.measure(made, question).values.tolist() for m in (Comprehensiveness(), Sufficiency())])
    found = np.concatenate(falls, axis=1)
    ranked = weight[orders]
    full = 1 / (1 + np.exp(-weight.sum()))
    without = [1 / (1 + np.exp(-ranked[:, size:].sum(1))) for size in sizes]
    alone = [1 / (1 + np.exp(-ranked[:, :size].sum(1))) for size in sizes]
    assert np.allclose(found, [full - np.mean(without, 0), full - np.mean(alone, 0)], atol=1e-6)
    oracle = (orders == weight.argsort()[::-1]).all(1).argmax()
    assert found[0, oracle] >= found[0].max() - 1e-7 and found[1, oracle] <= found[1].min() + 1e-7
    assert found[0].min() < found[0, oracle] - 0.05 and found[1].max() > found[1, oracle] + 0.05


def test_the_oracle_beats_random_orders_and_these_beat_the_reversed_one() -> None:
    weight = torch.randn(20, generator=torch.Generator().manual_seed(0))
    question = ask(lambda v: torch.sigmoid(v.sum((1, 2)))[:, None], weight[:, None])
    for metric, sign in ((Comprehensiveness(), 1), (Sufficiency(), -1)):
        value = lambda scores, metric=metric: metric.measure(attribution(question, scores), question).value  # noqa: E731
        random = [value(torch.rand(20, generator=torch.Generator().manual_seed(i))) for i in range(40)]
        assert sign * value(weight) > sign * sum(random) / 40 > sign * value(-weight)


def test_a_constant_score_falls_by_nothing() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] * 0 + 0.37, torch.ones(6, 1))
    for metric in (Comprehensiveness(), Sufficiency()):
        assert metric.measure(attribution(question, torch.rand(1, 6)), question).value == 0


def test_units_that_cannot_matter_are_never_removed_and_not_counted() -> None:
    """Of five units the last comes after the target: half of the other four is two."""
    question = additive([1.0, 2.0, 4.0, 8.0, 100.0])
    question = question.replace(applicable=torch.tensor([[True, True, True, True, False]]))
    made = attribution(question, [1.0, 2.0, 4.0, 8.0, 9.0])
    assert Comprehensiveness(bins=[50], empty_bin=False).measure(made, question).value == pytest.approx(12.0)
    assert Sufficiency(bins=[50], empty_bin=False).measure(made, question).value == pytest.approx(3.0)
    question = question.replace(applicable=torch.zeros(1, 5, dtype=torch.bool))
    assert Comprehensiveness().measure(made, question).value == Sufficiency().measure(made, question).value == 0


def test_targets_have_a_value_each_by_their_own_attributions() -> None:
    question = ask(lambda v: torch.stack([v[:, 0, 0], 3 * v[:, 1, 0]], dim=1), torch.ones(2, 1))
    found = Comprehensiveness(bins=[50], empty_bin=False).measure(attribution(question, [[1.0, 0], [0, 1.0]]), question)
    assert found.values is not None and found.values.tolist() == [1.0, 3.0]


def test_the_definition_says_bins_denominator_and_order() -> None:
    assert "1, 5, 10, 20, 50 %" in Comprehensiveness().definition and "6 bins" in Comprehensiveness().definition
    said = Sufficiency(bins=[2.5, 50], empty_bin=False).definition
    assert "2.5, 50 %" in said and "mean over 2 bins" in said and "highest signed" in said and "bin of no" not in said


@pytest.mark.parametrize("bins", [[], [0], [5, 101], [-1]])
def test_bins_that_are_no_percentages_are_refused(bins: list[float]) -> None:
    with pytest.raises(InputError, match="percentages above 0 and up to 100"):
        Sufficiency(bins=bins)


def test_on_a_planted_model_the_truth_beats_the_random_floor() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)})
    moods = ["happy but bad", "glad and never sad", "calm or glad", "bad but not sad", "happy and good"]
    texts = [f"i feel so {mood} today when the cat was old" for mood in moods]
    found = interp.attribute(model, texts, by="occlusion", targets=0, progress=False)
    high, low = (interp.measure(found, model, by=n, progress=False) for n in ("comprehensiveness", "sufficiency"))
    assert high.chance is not None and low.chance is not None and high.interval is not None
    assert high.value > high.chance + 0.05 and low.value < low.chance - 0.05
    assert "mean over 6 bins" in high.definition and high.made_by.parameters["bins"] == [1, 5, 10, 20, 50]


def test_classes_and_generated_tokens_are_measured_each() -> None:
    classifier, generator = tiny_classifier(), tiny_generator()
    found = interp.attribute(classifier, ["i feel so happy", "the dog"], by="occlusion", targets="all", progress=False)
    tokens = interp.attribute(generator, ["i feel so", "the dog"], by="occlusion", max_new_tokens=3, progress=False)
    for model, made, count in ((classifier, found, 6), (generator, tokens, sum(len(a.targets) for a in tokens))):
        for name in ("comprehensiveness", "sufficiency"):
            score = interp.measure(made, model, by=name, progress=False)
            assert score.values is not None and len(score.values) == count and -1 <= score.value <= 1


def test_on_a_real_classifier_attributions_beat_random_orders(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:5]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    high, low = (interp.measure(found, model, by=n, progress=False) for n in ("comprehensiveness", "sufficiency"))
    assert high.chance is not None and high.value > high.chance + 0.1
    assert low.chance is not None and low.value < low.chance - 0.1
