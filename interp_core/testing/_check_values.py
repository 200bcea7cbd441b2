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
    """Each concept has one entry, with examples from the corpus and words of its topic."""
    activations, space = topic_world()
    interpretation = interpret(space, activations, by=instance)
    entries = interpretation.concepts
    assert len(entries) == space.concepts, f"{len(entries)} entries for {space.concepts} concepts"
    for entry in entries:
        for example in entry.examples:
            spans = unit_spans(activations, example.text)
            assert (example.start, example.stop) in spans, f"{example} is not a unit of the corpus"
        words = " ".join([entry.label or "", *(w for w, _ in entry.words), *(e.text for e in entry.examples)]).split()
        assert set(words) & set(TOPICS[entry.concept]), f"no word of topic {TOPICS[entry.concept]} in {words[:12]}"


def truth_beats_error(method: Method, instance: Any) -> None:
    """The right answer has a better score than a wrong one."""
    if method.measures == "concepts":
        right, wrong, values = _spaces(instance, method)
    elif method.needs & {"method", "model"}:
        right, wrong, values = _with_a_method(instance, method)
    else:
        right, wrong, values = _attributions(instance, method)
    assert all(map(_finite, values)), f"a value is not finite: {values}"
    if instance.higher_is_better is not None:
        sign = 1 if instance.higher_is_better else -1
        assert sign * right > sign * wrong, f"the truth scores {right:.3f}, a wrong answer {wrong:.3f}"


def _attributions(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """Mean scores over several worlds of the truth, another world's truth, and the truth shuffled and negated."""
    worlds = [decided_world(seed) for seed in range(8)]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    sums = [0.0] * 4
    for i, (question, truth) in enumerate(worlds):
        best = sorted(truth[0].topk(3).indices.tolist())
        marked = [[(question.units[u].start, question.units[u].stop) for u in best]]
        extra = marked if "labels" in method.needs else []
        for j, scores in enumerate((truth, worlds[i - 1][1], truth[:, order], -truth)):
            attribution = Attribution(question.text, question.units, question.targets, scores, MadeBy("given"))
            score: Score = metric.measure(attribution, question, *extra)
            sums[j] += score.value / len(worlds)
    right, wrong, shuffled, reversed_ = sums
    sign = -1 if metric.higher_is_better is False else 1
    assert sign * shuffled >= sign * reversed_ - 1e-6, f"shuffled gives {shuffled:.3f}, reversed {reversed_:.3f}"
    return right, wrong, sums


@dataclass(frozen=True)
class _InputXGradient:
    """A sound method (input times gradient), for metrics that call a method."""

    def attribute(self, question: Question) -> Tensor:
        (gradient,) = question.gradients(question.x[None])
        return question.pool(((question.x - question.baseline) * gradient).sum(-1))


def _with_a_method(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The score of a sound method on a model, and the chance level."""
    model = tiny_classifier()
    attributions = attribute(model, MARKED_TEXTS, by=_InputXGradient(), progress=False)
    labels = [[[(0, len(text.split()[0]))] for text in MARKED_TEXTS]] if "labels" in method.needs else []
    score = measure(attributions, model, *labels, by=metric, method=_InputXGradient(), progress=False)
    chance = 0.0 if score.chance is None else score.chance
    return score.value, chance, [score.value, chance]


MARKED_TEXTS = ["happy today and so sad", "the old dog was never calm"]


def _spaces(metric: Any, method: Method) -> tuple[float, float, list[float]]:
    """The scores of the planted space and a mixed one; for metrics that need a model, on activations of a layer."""
    truth: ConceptSpace
    activations, truth = dictionary_world()
    beside: list[Any] = [truth] if "truth" in method.needs else []
    if "model" in method.needs:
        split = tiny_classifier().split(-1)
        activations = split.activations(LABELLED_TEXTS, granularity="cls", labels=LABELS, progress=False)
        truth = AffineSpace(torch.eye(activations.width), torch.eye(activations.width))
        beside.append(split)
    before = activations.matrix().clone()
    needs_method = "method" in method.needs
    right = measure(truth, activations, *beside, by=metric, method=_Fixed(truth) if needs_method else None).value
    mixed = MixedSpace(truth.dictionary, torch.zeros(truth.width))
    other = _Fixed(mixed, steady=False) if needs_method else None
    wrong = measure(mixed, activations, *beside, by=metric, method=other).value
    assert torch.equal(activations.matrix(), before), "the activations were changed"
    return right, wrong, [right, wrong]


WORDS, ENDS = ("happy", "sad", "calm", "glad"), ("today", "and so", "dog", "sun")
LABELLED_TEXTS = [f"{word} {end}" for word in WORDS for end in ENDS]
LABELS = [i // 4 % 2 for i in range(16)]


@dataclass(frozen=True)
class _Fixed:
    """A method that returns a fixed space; if not steady, its dictionary is rotated, differently for each seed."""

    space: ConceptSpace
    steady: bool = True
    seed: int = 0

    def fit(self, _activations: Activations) -> ConceptSpace:
        """The space, whatever the activations."""
        if self.steady:
            return self.space
        generator = torch.Generator().manual_seed(self.seed)
        rotation = torch.linalg.qr(torch.randn(self.space.width, self.space.width, generator=generator)).Q
        return MixedSpace(self.space.dictionary @ rotation, torch.zeros(self.space.width))


def _finite(value: float) -> bool:
    return bool(torch.isfinite(torch.tensor(value)))


def _of(kind: Kind, claim: Claim | None = None) -> Any:
    return lambda method: method.kind == kind and (claim is None or claim in method.claims)


def _metric(method: Method) -> bool:
    return method.kind == "metric" and method.measures in ("attribution", "concepts")


CHECKS = (
    Check(
        "each concept is interpreted",
        "Return one LabelledConcept for each concept, in order.",
        _of("interpretation"),
        each_concept_is_interpreted,
    ),
    Check("the truth beats a wrong answer", "Check the formula and higher_is_better.", _metric, truth_beats_error),
)
