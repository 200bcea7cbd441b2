"""Infidelity against closed forms, captum, and all removals there are."""

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
from interp_infidelity.infidelity import Infidelity

test_contract = contract_tests("infidelity")


def attribution(question: Question, scores: Any) -> Attribution:
    given = torch.as_tensor(scores, dtype=torch.float32).reshape(len(question.targets), -1)
    return Attribution(question.text, question.units, question.targets, given, MadeBy("given"))


def subsets(u: int) -> list[torch.Tensor]:
    return [torch.tensor(kept) for kept in itertools.product([False, True], repeat=u)]


@pytest.mark.parametrize("units", [1, 6, 40])
def test_contributions_to_a_linear_score_have_none(units: int) -> None:
    question, truth = linear_world(1, units, 3)
    assert Infidelity().measure(attribution(question, truth), question).value < 1e-9


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize(("units", "samples", "near"), [(7, 128, 1e-5), (30, 20_000, 0.05)])
def test_a_wrong_attribution_has_the_variance_and_the_squared_mean_of_its_errors(
    share: float, units: int, samples: int, near: float
) -> None:
    """E (Σ I_i δ_i)² = s (1 - s) Σ δ² + s² (Σ δ)² for units removed with chance s."""
    question, truth = linear_world(2, units, 1)
    wrong = truth + torch.randn(1, units, generator=torch.Generator().manual_seed(0))
    off = (wrong - truth)[0].double()
    expected = float(share * (1 - share) * off.square().sum() + share**2 * off.sum().square())
    found = Infidelity(samples=samples, share=share).measure(attribution(question, wrong), question)
    assert found.value == pytest.approx(expected, rel=near)


def test_no_attribution_leaves_the_mean_square_of_the_falls() -> None:
    question = tangled_world(0, units=5, targets=2)
    found = Infidelity().measure(attribution(question, torch.zeros(2, 5)), question)
    intact = question.intact()
    falls = torch.stack([intact - question.masked(~gone[None])[0] for gone in subsets(5)])
    assert found.values is not None and torch.allclose(found.values, falls.square().mean(0), rtol=1e-4)


@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_captums_infidelity_of_the_presence_of_units(scaled: bool) -> None:
    from captum.metrics import infidelity

    question = tangled_world(4, units=6, targets=2)
    scores = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    found = Infidelity(samples=64, scaled=scaled).measure(attribution(question, scores), question)
    gone = torch.stack(subsets(6)).float()
    for k in range(2):
        expected = infidelity(
            lambda present, k=k: question.masked(present > 0.5)[:, k],
            lambda present: (gone, present - gone),
            torch.ones(1, 6),
            scores[k][None],
            n_perturb_samples=64,
            normalize=scaled,
        )
        assert found.values is not None and float(found.values[k]) == pytest.approx(float(expected), rel=1e-4)


def test_scaled_sees_proportions_alone() -> None:
    question = tangled_world(5, units=6, targets=2)
    scores = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    one, seven = (Infidelity(scaled=True).measure(attribution(question, s), question) for s in (scores, -7 * scores))
    raw = Infidelity().measure(attribution(question, scores), question)
    assert one.value == pytest.approx(seven.value, rel=1e-5) and one.value < raw.value
    linear, truth = linear_world(1, 6, 2)
    assert Infidelity(scaled=True).measure(attribution(linear, 5 * truth), linear).value < 1e-9
    nothing = attribution(question, torch.zeros(2, 6))
    assert Infidelity(scaled=True).measure(nothing, question).value == Infidelity().measure(nothing, question).value


def test_a_constant_score_is_explained_by_nothing() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None] * 0 + 0.37, torch.ones(6, 1))
    assert Infidelity().measure(attribution(question, torch.zeros(6)), question).value == 0
    assert Infidelity().measure(attribution(question, torch.ones(6)), question).value == pytest.approx(1.5 + 9)


def test_random_removals_come_near_the_exact_answer_and_depend_on_the_seed() -> None:
    question = tangled_world(3, units=10, targets=1)
    made = attribution(question, torch.randn(1, 10, generator=torch.Generator().manual_seed(1)))
    exact = Infidelity(samples=1024).measure(made, question).value
    drawn = [Infidelity(samples=1000, seed=seed).measure(made, question).value for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn == pytest.approx([exact] * 3, rel=0.1)
    assert Infidelity(samples=1024, seed=1).measure(made, question).value == exact


def test_the_truth_beats_random_attributions_of_its_size() -> None:
    question, truth = linear_world(0, 12, 1)
    random = [torch.randn(1, 12, generator=torch.Generator().manual_seed(i)) * truth.std() for i in range(20)]
    values = [Infidelity().measure(attribution(question, r), question).value for r in random]
    assert Infidelity().measure(attribution(question, truth), question).value < min(values)
    assert sum(values) / 20 < Infidelity().measure(attribution(question, -truth), question).value


def test_units_that_cannot_matter_are_never_removed() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.tensor([[1.0], [2.0], [100.0]]))
    question = question.replace(applicable=torch.tensor([[True, True, False]]))
    assert Infidelity().measure(attribution(question, [1.0, 2.0, -7.0]), question).value == pytest.approx(0, abs=1e-9)
    assert question.rows <= 4
    question = question.replace(applicable=torch.zeros(1, 3, dtype=torch.bool))
    assert Infidelity().measure(attribution(question, [1.0, 2.0, 3.0]), question).value == 0


def test_targets_and_attributions_share_their_removals() -> None:
    question = tangled_world(0, units=20, targets=3)
    for seed in range(3):
        scores = torch.randn(3, 20, generator=torch.Generator().manual_seed(seed))
        Infidelity(samples=50).measure(attribution(question, scores), question)
    assert question.rows <= 51


def test_a_cap_on_rows_takes_fewer_removals() -> None:
    question = tangled_world(0, units=20, targets=2)
    question = question.with_budget(12)
    found = Infidelity().measure(attribution(question, torch.zeros(2, 20)), question)
    assert question.rows <= 12 and found.value > 0


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"share": 0.0}, {"share": 1.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 1 sample and a share above 0 and below 1"):
        Infidelity(**wrong)


def test_the_definition_says_the_chance_and_the_scaling() -> None:
    assert "with chance 0.3" in Infidelity(share=0.3).definition and "scaled" not in Infidelity().definition
    assert "scaled" in Infidelity(scaled=True).definition


def test_on_a_linear_model_the_contributions_have_none_in_their_own_score_space() -> None:
    model = planted_model({"happy": (2.0, -2.0), "glad": (1.0, -1.0), "sad": (-2.0, 2.0)})
    found = interp.attribute(model, ["i feel so happy", "glad and never sad"], by="occlusion", progress=False)
    score = interp.measure(found, model, by="infidelity", progress=False)
    assert score.made_by.settings["score"] == "logit" and score.chance is not None
    assert score.value < 1e-9 < score.chance


def test_classes_and_generated_tokens_are_measured_each() -> None:
    classifier, generator = tiny_classifier(), tiny_generator()
    found = interp.attribute(classifier, ["i feel so happy", "the dog"], by="occlusion", targets="all", progress=False)
    tokens = interp.attribute(generator, ["i feel so", "the dog"], by="occlusion", max_new_tokens=3, progress=False)
    for model, made, count in ((classifier, found, 6), (generator, tokens, sum(len(a.targets) for a in tokens))):
        score = interp.measure(made, model, by="infidelity", samples=20, progress=False)
        assert score.values is not None and len(score.values) == count and score.value >= 0


def test_on_a_real_classifier_attributions_beat_random_ones(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    texts = sorted(real_texts("emotion")[:60], key=len)[:5]
    found = interp.attribute(model, texts, by="occlusion", progress=False)
    score = interp.measure(found, model, by="infidelity", scaled=True, samples=40, progress=False)
    assert score.chance is not None and score.value < score.chance
