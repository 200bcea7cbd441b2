"""Checks of attribution methods that sample: seeds, limits, standard errors, and exactness on small questions."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from interp_core.attribution import FunctionRunner, Question, explain
from interp_core.errors import BudgetError
from interp_core.plugin import Claim, Method
from interp_core.testing._check import Applies, Check
from interp_core.testing._check_attribution import needs_no_model
from interp_core.testing._planted_worlds import tangled_world
from torch import Tensor

RUNS = 6  # seeds
TOO_SMALL, TOO_LARGE = 4.0, 0.05  # spread over standard error; two draws alone are rightly widened by a factor of six


def _scores(method: Any, question: Question) -> Tensor:
    return explain(method, question).scores


def seed_matters(_method: Method, instance: Any) -> None:
    """Another seed gives other scores."""
    other = dataclasses.replace(instance, seed=instance.seed + 1)
    few = {"samples": 40} if hasattr(instance, "samples") else {}
    one, two = (_scores(dataclasses.replace(m, **few), tangled_world()) for m in (instance, other))
    assert not torch.equal(one, two), "another seed gave the same scores, so the seed is not used"


def small_is_exact(_method: Method, instance: Any) -> None:
    """If all subsets fit into the budget, the seed does not matter and no subset is evaluated twice."""
    other = dataclasses.replace(instance, seed=instance.seed + 1)
    question = tangled_world(5, units=5)
    one, two = _scores(instance, question), _scores(other, tangled_world(5, units=5))
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    assert torch.allclose(one, two, atol=1e-6), "all 32 subsets fit into the budget, but the seed matters"
    assert runner.rows <= 32, f"{runner.rows} rows were evaluated for 32 subsets"


def limit_on_rows_is_kept(_method: Method, instance: Any) -> None:
    """With a limit on rows, a method that samples draws fewer; another method may refuse."""
    question = tangled_world(6).with_budget(60)
    try:
        explain(instance, question)
    except BudgetError:
        assert not hasattr(instance, "samples"), "60 rows are allowed but it refuses: see question.afford"
    assert question.rows <= 60, f"{question.rows} rows were evaluated but only 60 are allowed"


def errors_are_given_and_heeded(_method: Method, instance: Any) -> None:
    """A method that samples gives standard errors, and a generous tolerance takes no more rows."""
    if not hasattr(instance, "samples"):
        return
    full, short = tangled_world(7), tangled_world(7)
    assert explain(instance, full).error is not None, "it samples but gives no standard error"
    if hasattr(instance, "tolerance"):
        explain(dataclasses.replace(instance, tolerance=1e6), short)
        assert short.rows <= full.rows, f"with a generous tolerance {short.rows} rows instead of {full.rows}"


def errors_are_honest(_method: Method, instance: Any) -> None:
    """Runs with other seeds differ by about as much as the standard errors say."""
    if not hasattr(instance, "samples"):
        return
    few = dataclasses.replace(instance, samples=min(instance.samples, 48))
    runs = [explain(dataclasses.replace(few, seed=seed), tangled_world(7, targets=1)) for seed in range(RUNS)]
    errors = [run.error for run in runs if run.error is not None]
    assert len(errors) == RUNS, "it samples but gives no standard error"
    assert all(error.shape == run.scores.shape for error, run in zip(errors, runs, strict=True)), (
        f"standard errors are {tuple(errors[0].shape)}; scores are {tuple(runs[0].scores.shape)}"
    )
    error = torch.stack(errors).square().mean(0).sqrt()
    spread = torch.stack([run.scores for run in runs]).std(0)
    known = torch.isfinite(error) & (spread > 0)  # infinite where there are too few draws to tell
    ratio = float((spread[known] / error[known].clamp(min=1e-12)).median()) if bool(known.any()) else 1.0
    assert TOO_LARGE < ratio < TOO_SMALL, (
        f"{RUNS} seeds spread by {ratio:.2g} times the standard errors, where about 1 was expected"
    )


def _claims(claim: Claim) -> Applies:
    return lambda method: method.kind == "attribution" and claim in method.claims


CHECKS = (
    Check(
        "another seed gives another draw",
        "Use the field `seed`, or drop the claim 'seeded'.",
        _claims("seeded"),
        seed_matters,
    ),
    Check(
        "the caller's limit on rows is kept",
        "Draw at most question.afford(self.samples).",
        needs_no_model,
        limit_on_rows_is_kept,
    ),
    Check(
        "what is drawn has a standard error",
        "Return (scores, error), see interp_core.statistics.averaged.",
        lambda method: needs_no_model(method) and "seeded" in method.claims,
        errors_are_given_and_heeded,
    ),
    Check(
        "standard errors are as large as the spread",
        "Give the standard error of the mean over draws, see interp_core.statistics.averaged.",
        lambda method: needs_no_model(method) and "seeded" in method.claims,
        errors_are_honest,
    ),
    Check(
        "small questions are answered exactly",
        "Evaluate each subset once if all fit into the budget.",
        _claims("exact-when-small"),
        small_is_exact,
    ),
)
