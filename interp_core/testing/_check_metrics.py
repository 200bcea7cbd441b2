"""Checks of metrics of attributions, of concepts and of interpretations."""

from __future__ import annotations

import math
from typing import Any

import torch
from interp_core.attribution import Attribution, Question, attribute
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import Score, measure
from interp_core.plugin import Method
from interp_core.results import MadeBy
from interp_core.testing._calls import (
    LABELLED_TEXTS,
    LABELS,
    MARKED_TEXTS,
    MARKS,
    call,
    measured,
    observed,
    topic_labels,
)
from interp_core.testing._check import Check
from interp_core.testing._planted_worlds import MixedSpace, dictionary_world, topic_world
from interp_core.testing._shared_models import shared
from interp_core.testing._sound_methods import Fixed, InputXGradient
from interp_core.testing._untidy_worlds import decided_world
from torch import Tensor

WORLDS = 8


def truth_beats_error(method: Method, instance: Any) -> None:
    """The right answer has a better score than a wrong one; where neither is better, another one."""
    if method.measures == "interpretation":
        right, wrong, values = _labels(instance)
    elif method.measures == "concepts":
        right, wrong, values = _spaces(instance, method)
    elif method.needs & {"method", "model"}:
        right, wrong, values = _with_a_method(instance, method)
    else:
        right, wrong, values = _attributions(instance, method)
    assert all(map(math.isfinite, values)), f"a value is not finite: {values}"
    if instance.higher_is_better is not None:
        sign = 1 if instance.higher_is_better else -1
        assert sign * right > sign * wrong, f"the truth scores {right:.3f}, a wrong answer {wrong:.3f}"
    elif not method.needs & {"method", "model"}:
        assert len(set(values)) > 1, f"the truth and wrong answers all score {right:.3f}"


def _attributions(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """Mean scores over several worlds of the truth, another world's truth, and the truth shuffled and negated."""
    worlds = [decided_world(seed) for seed in range(WORLDS)]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    sums = [0.0] * 4
    for i, (question, truth) in enumerate(worlds):
        for j, scores in enumerate((truth, worlds[i - 1][1], truth[:, order], -truth)):
            sums[j] += _marked(metric, method, question, scores, truth).value / len(worlds)
    right, wrong, shuffled, reversed_ = sums
    sign = -1 if metric.higher_is_better is False else 1
    assert sign * shuffled >= sign * reversed_ - 1e-6, f"shuffled gives {shuffled:.3f}, reversed {reversed_:.3f}"
    return right, wrong, sums


def _marked(metric: Any, method: Method, question: Question, scores: Tensor, truth: Tensor) -> Score:
    best = sorted(truth[0].topk(3).indices.tolist())
    marked = [[(question.units[u].start, question.units[u].stop) for u in best]]
    attribution = Attribution(question.text, question.units, question.targets, scores.clone(), MadeBy("given"))
    score: Score = metric.measure(attribution, question, *(marked if "labels" in method.needs else []))
    return score


def _with_a_method(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The score of a sound method on a model, and the chance level."""
    model = shared("classifier")
    attributions = attribute(model, MARKED_TEXTS, by=InputXGradient(), progress=False)
    labels = [MARKS] if "labels" in method.needs else []
    score = measure(attributions, model, *labels, by=metric, method=InputXGradient(), progress=False)
    chance = 0.0 if score.chance is None else score.chance
    return score.value, chance, [score.value, chance]


def _spaces(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The scores of the planted space and a mixed one; for metrics that need a model, on activations of a layer."""
    truth: ConceptSpace
    activations, truth = dictionary_world()
    beside: list[Any] = [truth] if "truth" in method.needs else []
    if "model" in method.needs:
        split = shared("classifier").split(-1)
        activations = split.activations(LABELLED_TEXTS, granularity="cls", labels=LABELS, progress=False)
        truth = AffineSpace(torch.eye(activations.width), torch.eye(activations.width))
        beside.append(split)
    needs_method = "method" in method.needs
    right = measure(truth, activations, *beside, by=metric, method=Fixed(truth) if needs_method else None).value
    mixed = MixedSpace(truth.dictionary, torch.zeros(truth.width))
    other = Fixed(mixed, steady=False) if needs_method else None
    wrong = measure(mixed, activations, *beside, by=metric, method=other).value
    if metric.higher_is_better is not None or beside:
        return right, wrong, [right, wrong]
    doubled = AffineSpace(truth.dictionary[[0, 0, 1]], truth.dictionary[[0, 0, 1]])  # of a metric of directions alone
    return right, wrong, [right, wrong, measure(doubled, activations, by=metric).value]


def _labels(metric: Any) -> tuple[float, float, list[float]]:
    """The scores of the words of each topic, and of the words of another topic each."""
    activations, space = topic_world()
    if not getattr(metric, "reads_labels", True):  # such as the odd one out of some examples: beside its chance level
        score = measure(topic_labels(), space, activations, by=metric)
        chance = math.nan if score.chance is None else score.chance
        return score.value, chance, [score.value, chance]
    values = [measure(topic_labels(shift), space, activations, by=metric).value for shift in (0, 1)]
    return values[0], values[1], values


def repeats_are_equal(method: Method, instance: Any) -> None:
    """The same call gives the same score."""
    if _by_itself(method):
        question, truth = decided_world(3)
        one, other = (measured(instance, method, question, truth).value for _ in range(2))
    else:
        one, other = observed(method, instance).result.value, call(method, instance).value
    assert one == other, f"the same call twice gave {one} and {other}"


def any_number_of_units_is_measured(method: Method, instance: Any) -> None:
    """One, two or forty units have a finite score, or are refused in words."""
    for units in (1, 2, 40):
        question, truth = decided_world(4, units)
        try:
            value = measured(instance, method, question, truth).value
        except (InputError, UnsupportedError):
            continue
        assert math.isfinite(value), f"{units} units score {value}"


def all_units_count(method: Method, instance: Any) -> None:
    """Of forty units the last one counts too: at the top and at the bottom it gives other scores."""
    changes = []
    for seed in range(4):
        question, truth = decided_world(seed, 40)
        largest = 2 * float(truth.abs().max())
        ends = (truth.index_fill(1, torch.tensor([39]), end) for end in (largest, -largest))
        one, other = (measured(instance, method, question, scores).value for scores in ends)
        changes.append(one != other)
    assert any(changes), "of 40 units the last one can be at the top or at the bottom, and the score is the same"


def each_target_has_its_value(method: Method, instance: Any) -> None:
    """There is a value for each target, their mean is the score, and each depends on the scores of its own target."""
    changes = []
    for seed in range(4):
        question, truth = decided_world(seed, targets=2)
        other = torch.stack([truth[0], -truth[1]])
        one, two = (measured(instance, method, question, scores) for scores in (truth, other))
        values = one.values
        if values is None:
            changes.append(one.value != two.value)
            continue
        assert len(values) == 2, f"{len(values)} values for 2 targets"
        mean = float(values.double().mean())
        assert abs(one.value - mean) <= 1e-4 * max(1.0, abs(mean)), (
            f"the score is {one.value:.4g}, the mean of its values {mean:.4g}"
        )
        assert two.values is not None
        changes.append(bool(values[1] != two.values[1]))
    assert any(changes), "other scores for the second target do not change its value"


def _by_itself(method: Method) -> bool:
    """A metric of attributions that needs neither the method nor the model."""
    return method.measures == "attribution" and not method.needs & {"method", "model"}


def _metric(method: Method) -> bool:
    return method.kind == "metric"


CHECKS = (
    Check("the truth beats a wrong answer", "Check the formula and higher_is_better.", _metric, truth_beats_error),
    Check(
        "the same call gives the same score",
        "Draw from a generator seeded by `seed`.",
        _metric,
        repeats_are_equal,
    ),
    Check(
        "any number of units is measured",
        "Give a finite score for one unit as for forty, or refuse by an InputError that says what is needed.",
        _by_itself,
        any_number_of_units_is_measured,
    ),
    Check("all units count", "Use the scores of all units.", _by_itself, all_units_count),
    Check(
        "each target has its value",
        "Return one of `values` for each target, in order, and their mean as the value.",
        _by_itself,
        each_target_has_its_value,
    ),
)
