"""ContextCite finds few sources among many with few variants, and says how sure it is of their weights."""

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_context_cite.context_cite import ContextCite
from interp_context_cite.lasso import fitted, path
from interp_core.attribution import Question, ask
from interp_core.errors import InputError, InterpWarning
from interp_core.testing import contract_tests, linear_world, planted_model, tangled_world, tiny_generator
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

test_contract = contract_tests("context-cite")


def noisy_world(weights: torch.Tensor, noise: float, seed: int = 0) -> Question:
    """A score that is linear but for what no sum of units explains: products of signs of random sets of units."""
    generator = torch.Generator().manual_seed(seed)
    sets = torch.rand(40, len(weights), generator=generator) < 0.5
    size = noise / len(sets) ** 0.5

    def scores(v: torch.Tensor) -> torch.Tensor:
        signs = torch.where(sets, 1 - 2 * v[:, None, :, 0], torch.ones(())).prod(-1)
        return (v[:, :, 0] @ weights + size * signs.sum(1))[:, None]

    return ask(scores, torch.ones(len(weights), 1))


def banzhaf(question: Question) -> torch.Tensor:
    """What each unit adds on average to a random half of the others."""
    u = len(question.units)
    keep = (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1
    scores = question.masked(keep).double()
    return torch.stack([scores[keep[:, i]].mean(0) - scores[~keep[:, i]].mean(0) for i in range(u)], dim=1)


@pytest.mark.parametrize("units", [3, 12, 40])
def test_a_planted_linear_model_is_recovered(units: int) -> None:
    question, truth = linear_world(1, units, 3)
    scores, error = ContextCite(samples=64).attribute(question)
    assert float((scores - truth).abs().max()) < 0.01 * float(truth.abs().max())
    assert units > 6 or not error.any()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_three_sources_of_256_are_found_with_64_variants(noise: float) -> None:
    weights = torch.zeros(256)
    weights[[5, 77, 200]] = torch.tensor([4.0, 2.0, -3.0])
    question = noisy_world(weights, noise)
    scores, _ = ContextCite(samples=64).attribute(question)
    assert question.rows == 64
    assert sorted(scores[0].abs().topk(3).indices.tolist()) == [5, 77, 200]
    assert float((scores[0] - weights).abs().max()) < (0.5 if noise else 2e-3)
    assert int((scores[0] == 0).sum()) > 200


def test_the_lasso_is_that_of_the_paper() -> None:
    """Its code fits scikit-learn's lasso with a penalty of 0.01 to standardised columns, and scores a token."""
    question, tokens = tangled_world(2, units=20, targets=1), 7
    target = question.targets[0]
    question = question.replace(targets=(type(target)(target.label, parts=(target,) * tokens),), runner=question.runner)
    scores, _ = ContextCite(samples=60, penalty=0.01, seed=3).attribute(question)
    keep = torch.rand(60, 20, generator=torch.Generator().manual_seed(3)) < 0.5
    found = make_pipeline(StandardScaler(), Lasso(alpha=0.01, tol=1e-8, max_iter=100_000))
    found.fit(keep.float().numpy(), question.masked(keep)[:, 0].numpy() / tokens)
    expected = found[1].coef_ / found[0].scale_ * tokens
    assert np.allclose(scores[0].numpy(), expected, atol=1e-4)
    assert 0 < int((scores == 0).sum()) < 20


def test_the_path_is_that_of_scikit_learn_at_every_penalty() -> None:
    generator = np.random.default_rng(0)
    columns, scores = generator.normal(size=(30, 50)), generator.normal(size=30)
    columns, scores = columns - columns.mean(0), scores - scores.mean()
    penalties = np.array([0.3, 0.1, 0.03])
    for penalty, weights in zip(penalties, path(columns, scores, penalties).T, strict=True):
        expected = Lasso(alpha=penalty, tol=1e-10, max_iter=100_000, fit_intercept=False).fit(columns, scores).coef_
        assert np.allclose(weights, expected, atol=1e-4)


def test_the_errors_are_the_spread_and_the_shrinkage_that_held_out_scores_show() -> None:
    """With one penalty so large that all weights are 0: what is missed is the score less the mean of other folds."""
    generator = np.random.default_rng(1)
    keep, scores = (generator.random((40, 6)) < 0.5).astype(float), generator.normal(size=40)
    weights, error = fitted(keep, scores, 100.0)
    fold = np.arange(40) % 5
    missed = np.array([scores[i] - scores[fold != fold[i]].mean() for i in range(40)])
    pulls = 4 * (keep - 0.5) * missed[:, None]
    assert not weights.any()
    assert np.allclose(error, np.sqrt(pulls.var(0, ddof=1) / 40 + pulls.mean(0) ** 2))


def test_few_units_have_banzhaf_values_exactly_and_a_penalty_shrinks_them() -> None:
    question = tangled_world(3, units=6)
    scores, error = ContextCite(samples=64).attribute(question)
    assert torch.allclose(scores, banzhaf(question), atol=1e-6) and not error.any()
    shrunk, _ = ContextCite(samples=64, penalty=0.05).attribute(question)
    assert torch.allclose(shrunk, scores.sign() * (scores.abs() - 0.1).clamp(min=0), atol=1e-6)


@pytest.mark.parametrize(("units", "samples"), [(10, 40), (10, 120), (12, 24)])
def test_the_interval_holds_the_banzhaf_value_at_least_as_often_as_it_says(units: int, samples: int) -> None:
    question = tangled_world(3, units=units, targets=1)
    truth = banzhaf(question)
    runs = [ContextCite(samples=samples, seed=seed).attribute(question) for seed in range(100)]
    held = torch.stack([(scores - truth).abs() <= 1.96 * error for scores, error in runs])
    assert float(held.double().mean()) >= 0.94
    spread = (torch.stack([scores for scores, _ in runs]) - truth).square().mean(0).sqrt()
    assert (
        float((torch.stack([error for _, error in runs]).mean(0) / spread).median()) < 3
    )  # and is no wider than thrice


def test_no_unit_of_a_constant_score_has_a_weight_or_an_error() -> None:
    question = ask(lambda v: 0 * v.sum((1, 2))[:, None] + 3, torch.ones(20, 1))
    scores, error = ContextCite().attribute(question)
    assert not scores.any() and not error.any()


def test_the_limit_on_rows_is_kept_and_too_few_variants_are_no_certainty() -> None:
    question = tangled_world(1, units=12).with_budget(30)
    ContextCite().attribute(question)
    assert question.rows == 28  # the intact and the empty text are set aside
    scores, error = ContextCite().attribute(tangled_world(1, units=12).with_budget(5))
    assert not scores.any() and bool(error.isinf().all())


def test_a_score_space_in_which_answers_are_all_but_certain_is_said() -> None:
    model, text = planted_model({"happy": (9.0, -9.0)}), "so very happy today"
    with pytest.warns(InterpWarning, match="score='log-odds'"):
        interp.attribute(model, text, by="context-cite", targets=0, score="log-probability", progress=False)
    for settings in ({"score": "logit"}, {"targets": 1, "score": "probability"}):
        (found,) = interp.attribute(model, text, by="context-cite", progress=False, **{"targets": 0, **settings})
        assert not any("log-odds" in note for note in found.notes)


def test_text_after_a_generated_token_takes_no_part_in_it() -> None:
    found = interp.attribute(
        tiny_generator(), "i feel so happy and", by=ContextCite(samples=40), max_new_tokens=3, progress=False
    )[0]
    assert bool((~found.applicable).any()) and not found.scores[~found.applicable].any()
    assert not found.error[~found.applicable].any() and bool(found.scores[found.applicable].any())


@pytest.mark.parametrize("units", [5, 12])
def test_each_target_is_fitted_to_the_units_that_can_matter_to_it(units: int) -> None:
    question = ask(lambda v: torch.stack([v[:, 0, 0], v[:, 0, 0] + 2 * v[:, 3, 0]], 1), torch.ones(units, 1))
    applicable = torch.ones(2, units, dtype=torch.bool)
    applicable[0, 2:] = False
    scores, error = ContextCite().attribute(question.replace(applicable=applicable))
    assert (
        scores[:, 3].tolist() == [0, pytest.approx(2, abs=0.01)] and not scores[0, 2:].any() and not error[0, 2:].any()
    )
    assert scores[:, 0].tolist() == pytest.approx([1, 1], abs=0.01)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 4"):
        ContextCite(samples=3)
    with pytest.raises(InputError, match="penalty is -1"):
        ContextCite(penalty=-1)
