"""Soft comprehensiveness and sufficiency, against expectations over every way that elements can be drawn."""

import itertools
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Question, ask
from interp_core.errors import InputError, UnsupportedError
from interp_core.results import MadeBy
from interp_core.testing import contract_tests, planted_model, tiny_classifier, tiny_generator
from interp_eraser.soft import SoftComprehensiveness, SoftSufficiency, importance

test_contract = contract_tests("soft-comprehensiveness")
test_contract_of_sufficiency = contract_tests("soft-sufficiency")

BOTH = (SoftComprehensiveness, SoftSufficiency)


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def additive(contributions: list[float], width: int = 4) -> Question:
    return ask(lambda v: v.mean(2).sum(1, keepdim=True) + 0.1, torch.tensor(contributions)[:, None].repeat(1, width))


def test_importance_runs_from_the_lowest_score_to_the_highest_among_units_that_can_matter() -> None:
    scores = torch.tensor([[-2.0, 0.0, 2.0, 50.0], [3.0, 3.0, 3.0, 3.0]])
    able = torch.tensor([[True, True, True, False], [True, True, True, True]])
    found = importance(scores, able)
    assert found[0, :3].tolist() == [0.0, 0.5, 1.0] and found[1].tolist() == [0.5] * 4


def test_a_unit_of_importance_one_goes_whole_and_one_of_importance_zero_stays_whole() -> None:
    question = additive([3.0, 1.0])
    made = attribution(question, [5.0, 2.0])
    assert SoftComprehensiveness().measure(made, question).value == pytest.approx(3 / 4)
    assert SoftSufficiency().measure(made, question).value == pytest.approx(1 - 1 / 4)


def test_on_an_additive_score_both_are_the_mean_importance_of_what_there_is() -> None:
    """The expected fall is the sum of importance times contribution."""
    contributions, scores = [1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 3.0, 4.0]
    question = additive(contributions, width=2000)
    expected = sum(c * s / 4 for c, s in zip(contributions, scores, strict=True)) / 10
    for made in BOTH:
        assert made(samples=20).measure(attribution(question, scores), question).value == pytest.approx(
            expected, abs=0.005
        )


def test_both_are_the_papers_equations_over_all_ways_to_draw_elements() -> None:
    x = torch.tensor([[1.0, -0.5], [0.7, 0.4], [-0.3, 0.9]])
    f = lambda v: torch.sigmoid(2 * v[:, 0, 0] * v[:, 1, 1] + v.sum((1, 2)))[:, None]  # noqa: E731
    question = ask(f, x)
    share = torch.tensor([1.0, 0.25, 0.0])
    full, none = float(f(x[None])), float(f(0 * x[None]))
    expected = {}
    for kind, chance in (("nc", 1 - share), ("ns", share)):
        mean = 0.0
        for kept in itertools.product([0.0, 1.0], repeat=6):
            e = torch.tensor(kept).reshape(3, 2)
            probability = float(torch.where(e > 0, chance[:, None], 1 - chance[:, None]).prod())
            mean += probability * max(0.0, full - float(f((x * e)[None])))
        expected[kind] = mean
    s_none = 1 - max(0.0, full - none)
    soft_nc = expected["nc"] / (1 - s_none)
    soft_ns = (1 - expected["ns"] - s_none) / (1 - s_none)
    made = attribution(question, [4.0, 1.0, 0.0])
    assert SoftComprehensiveness(samples=20_000).measure(made, question).value == pytest.approx(soft_nc, abs=0.01)
    assert SoftSufficiency(samples=20_000).measure(made, question).value == pytest.approx(soft_ns, abs=0.01)


def test_rises_of_the_score_are_no_falls() -> None:
    """Removing the unit that speaks against the target raises the score: nothing falls."""
    question = additive([5.0, -1.0])
    made = attribution(question, [0.0, 1.0])
    assert SoftComprehensiveness().measure(made, question).value == 0
    assert SoftSufficiency().measure(attribution(question, [1.0, 0.0]), question).value == 1


@pytest.mark.parametrize("made", BOTH)
@pytest.mark.parametrize("contributions", [[0.0, 0.0, 0.0], [3e-8, 0.0, 0.0], [-1.0, -2.0, 0.5]])
def test_where_there_is_nothing_to_lose_the_value_is_zero_and_says_so(made: Any, contributions: list[float]) -> None:
    question = additive(contributions)
    found = made().measure(attribution(question, [1.0, 2.0, 3.0]), question)
    assert found.value == 0 and "nothing to compare with" in found.notes[0]


@pytest.mark.parametrize("made", BOTH)
def test_the_seed_decides_and_the_global_random_state_is_left_alone(made: Any) -> None:
    question = additive([1.0, 2.0, 3.0], width=5)
    scores = attribution(question, [0.0, 1.0, 3.0])
    before = torch.get_rng_state()
    one, same, other = (made(samples=3, seed=s).measure(scores, question).value for s in (0, 0, 1))
    assert one == same != other and torch.equal(torch.get_rng_state(), before)


def test_units_that_cannot_matter_and_features_of_no_unit_stay_whole() -> None:
    """What must stay is worth a hundred times the rest."""
    question = additive([1.0, 2.0, 100.0, 100.0])
    question = question.replace(applicable=torch.tensor([[True, True, False, True]]))
    question = question.replace(unit_of=torch.tensor([0, 1, 2, -1]), runner=question.runner)
    scores = attribution(question, [1.0, 2.0, 300.0, 0.0])
    question.applicable[0, 3] = False
    assert SoftComprehensiveness().measure(scores, question).value == pytest.approx(2 / 3, abs=1e-4)
    assert SoftSufficiency().measure(scores, question).value == pytest.approx(1 - 1 / 3, abs=1e-4)


def test_each_target_fades_by_its_own_attributions() -> None:
    question = ask(lambda v: torch.stack([v[:, 0, 0], v[:, 1, 0]], dim=1), torch.ones(2, 3))
    found = SoftComprehensiveness().measure(attribution(question, [[1.0, 0.0], [1.0, 0.0]]), question)
    assert found.values is not None and found.values.tolist() == [1.0, 0.0]


def test_a_cap_on_rows_takes_fewer_draws() -> None:
    question = ask(lambda v: torch.stack([v[:, 0, 0], v[:, 1, 0]], dim=1), torch.ones(2, 3))
    question = question.with_budget(9)
    SoftSufficiency(samples=100).measure(attribution(question, [[1.0, 0.0], [0.0, 1.0]]), question)
    assert question.rows == 8  # the two ends, and three draws for each target


def test_fewer_than_one_draw_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 draw"):
        SoftComprehensiveness(samples=0)


def test_removal_of_whole_tokens_has_no_parts() -> None:
    model = tiny_classifier()
    found = interp.attribute(model, "i feel so happy", by="occlusion", removal="drop", progress=False)
    with pytest.raises(UnsupportedError, match="use removal='mask'"):
        interp.measure(found, model, by="soft-sufficiency", progress=False)


def test_on_a_planted_model_the_truth_beats_the_random_floor() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0), "bad": (-1.0, 1.0)})
    texts = [f"i feel so {mood} today when the cat was old" for mood in ("happy", "glad", "happy and glad", "good")]
    found = interp.attribute(model, texts[:3], by="occlusion", targets=0, progress=False)
    for name in ("soft-comprehensiveness", "soft-sufficiency"):
        score = interp.measure(found, model, by=name, progress=False)
        assert score.chance is not None and score.value > score.chance + 0.1


def test_generation_is_measured_token_by_token() -> None:
    model = tiny_generator()
    found = interp.attribute(model, ["i feel so", "the dog"], by="occlusion", max_new_tokens=3, progress=False)
    for name in ("soft-comprehensiveness", "soft-sufficiency"):
        score = interp.measure(found, model, by=name, samples=2, progress=False)
        assert score.values is not None and len(score.values) == sum(len(a.targets) for a in found)
        assert bool(torch.isfinite(score.values).all())


def test_on_a_real_classifier_attributions_beat_random_ones(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:5]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    score = interp.measure(found, model, by="soft-comprehensiveness", samples=5, progress=False)
    assert score.chance is not None and score.value > score.chance
