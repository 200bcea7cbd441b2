"""Checks of interpretations and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Attribution, Question, attribute
from interp_core.concepts import AffineSpace, ConceptSpace, interpret
from interp_core.metrics import Score, measure
from interp_core.plugin import Claim, Kind, Method
from interp_core.results import MadeBy
from interp_core.testing._check import Check
from interp_core.testing._planted_worlds import (
    TOPICS,
    MixedSpace,
    decided_world,
    dictionary_world,
    topic_world,
    unit_spans,
)
from interp_core.testing._tiny_models import tiny_classifier
from torch import Tensor


def each_concept_is_interpreted(_method: Method, instance: Any) -> None:
    """One entry a concept, with examples from the corpus, and the topic in words."""
    activations, space = topic_world()
    found = interpret(space, activations, by=instance)
    assert len(found.concepts) == space.concepts, f"{len(found.concepts)} entries for {space.concepts} concepts"
    for entry in found.concepts:
        for example in entry.examples:
            spans = unit_spans(activations, example.text)
            assert (example.start, example.stop) in spans, f"{example} is no unit of the corpus"
        said = " ".join([entry.label or "", *(w for w, _ in entry.words), *(e.text for e in entry.examples)]).split()
        assert set(said) & set(TOPICS[entry.concept]), f"no word of topic {TOPICS[entry.concept]} in {said[:12]}"


def truth_beats_error(method: Method, instance: Any) -> None:
    """The right answer scores better than a wrong one."""
    if method.measures == "concepts":
        right, wrong, values = _spaces(instance, method)
    elif method.needs & {"method", "model"}:
        right, wrong, values = _asked_again(instance, method)
    else:
        right, wrong, values = _attributions(instance, method)
    assert all(map(_finite, values)), f"a value is not finite: {values}"
    if instance.higher_is_better is not None:
        sign = 1 if instance.higher_is_better else -1
        assert sign * right > sign * wrong, f"the truth scores {right:.3f}, a wrong answer {wrong:.3f}"


def _attributions(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The mean over several worlds of the truth, of another world's truth, and of the truth shuffled and reversed."""
    worlds = [decided_world(seed) for seed in range(8)]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    sums = [0.0] * 4
    for i, (question, truth) in enumerate(worlds):
        best = sorted(truth[0].topk(3).indices.tolist())
        marked = [[(question.units[u].start, question.units[u].stop) for u in best]]
        extra = marked if "labels" in method.needs else []
        for j, scores in enumerate((truth, worlds[i - 1][1], truth[:, order], -truth)):
            given = Attribution(question.text, question.units, question.targets, scores, MadeBy("given"))
            found: Score = metric.measure(given, question, *extra)
            sums[j] += found.value / len(worlds)
    right, wrong, shuffled, reversed_ = sums
    sign = -1 if metric.higher_is_better is False else 1
    assert sign * shuffled >= sign * reversed_ - 1e-6, f"shuffled gives {shuffled:.3f}, reversed {reversed_:.3f}"
    return right, wrong, sums


@dataclass(frozen=True)
class _Slopes:
    """A sound method, for metrics that ask one again."""

    def attribute(self, question: Question) -> Tensor:
        (slope,) = question.gradients(question.x[None])
        return question.pool(((question.x - question.baseline) * slope).sum(-1))


def _asked_again(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """A sound method on a model, beside one that looks at nothing."""
    model = tiny_classifier()
    found = attribute(model, MARKED_TEXTS, by=_Slopes(), progress=False)
    labels = [[[(0, len(text.split()[0]))] for text in MARKED_TEXTS]] if "labels" in method.needs else []
    score = measure(found, model, *labels, by=metric, method=_Slopes(), progress=False)
    floor = 0.0 if score.floor is None else score.floor
    return score.value, floor, [score.value, floor]


MARKED_TEXTS = ["happy today and so sad", "the old dog was never calm"]


def _spaces(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The planted space beside a mixed one; for metrics that need the model, what a layer of one holds."""
    truth: ConceptSpace
    activations, truth = dictionary_world()
    beside: list[Any] = [truth] if "truth" in method.needs else []
    if "model" in method.needs:
        split = tiny_classifier().split(-1)
        activations = split.activations(LIT_TEXTS, granularity="cls", labels=LIT_LABELS, progress=False)
        truth = AffineSpace(torch.eye(activations.width), torch.eye(activations.width))
        beside.append(split)
    before = activations.matrix().clone()
    again = "method" in method.needs
    right = measure(truth, activations, *beside, by=metric, method=_Fixed(truth) if again else None).value
    mixed = MixedSpace(truth.dictionary, torch.zeros(truth.width))
    other = _Fixed(mixed, steady=False) if again else None
    wrong = measure(mixed, activations, *beside, by=metric, method=other).value
    assert torch.equal(activations.matrix(), before), "the activations were changed"
    return right, wrong, [right, wrong]


LIT_TEXTS = [f"{word} {day}" for word in ("happy", "sad", "calm", "glad") for day in ("today", "and so", "dog", "sun")]
LIT_LABELS = [i // 4 % 2 for i in range(16)]


@dataclass(frozen=True)
class _Fixed:
    """A method that gives one space, whatever it is shown; unless it is steady, turned another way for each seed."""

    space: ConceptSpace
    steady: bool = True
    seed: int = 0

    def fit(self, _activations: Activations) -> ConceptSpace:
        """The space."""
        if self.steady:
            return self.space
        generator = torch.Generator().manual_seed(self.seed)
        turn = torch.linalg.qr(torch.randn(self.space.width, self.space.width, generator=generator)).Q
        return MixedSpace(self.space.dictionary @ turn, torch.zeros(self.space.width))


def _finite(value: float) -> bool:
    return bool(torch.isfinite(torch.tensor(value)))


def _of(kind: Kind, claim: Claim | None = None) -> Any:
    return lambda method: method.kind == kind and (claim is None or claim in method.claims)


def _metric(method: Method) -> bool:
    return method.kind == "metric" and method.measures in ("attribution", "concepts")


CHECKS = (
    Check(
        "each concept is interpreted",
        "One LabelledConcept a concept, in order.",
        _of("interpretation"),
        each_concept_is_interpreted,
    ),
    Check("the truth beats a wrong answer", "Check the formula and higher_is_better.", _metric, truth_beats_error),
)
