"""Checks of concept methods, interpretations, metrics and language-model clients."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.attribution import Attribution, attribute
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.interpretation import interpret
from interp_core.metrics import measure
from interp_core.plugin import Claim, Kind, Method
from interp_core.provenance import MadeBy
from interp_core.question import Question
from interp_core.score import Score
from interp_core.testing.contract import Check
from interp_core.testing.models import tiny_classifier
from interp_core.testing.worlds import TOPICS, MixedSpace, decided_world, dictionary_world, topic_world, unit_spans
from torch import Tensor


def _fitted(instance: Any, activations: Activations) -> ConceptSpace:
    small = dataclasses.replace(instance, concepts=5) if hasattr(instance, "concepts") else instance
    return fit_concepts(activations, by=small)


def space_has_its_shapes(_method: Method, instance: Any) -> None:
    """Many rows, one row, rows that were never seen; each encoded by itself."""
    activations, _ = dictionary_world()
    space = _fitted(instance, activations)
    unseen = dictionary_world(seed=9, rows=50)[0].values
    codes = space.encode(unseen)
    assert tuple(codes.shape) == (50, space.concepts), f"encoding 50 rows gave {tuple(codes.shape)}"
    alone = torch.cat([space.encode(row[None]) for row in unseen])
    worst = float((alone - codes).abs().max())
    assert worst < 1e-5, f"rows encoded alone differ by {worst:.2g}; encode each row by itself"
    assert torch.equal(space.encode(unseen), codes), "encoding the same rows twice gave different codes"


def planted_dictionary_is_found(_method: Method, instance: Any) -> None:
    """Each planted direction has a learnt one that points the same way."""
    activations, truth = dictionary_world()
    space = _fitted(instance, activations)
    cosine = (
        torch.nn.functional.normalize(truth.dictionary, dim=1)
        @ torch.nn.functional.normalize(space.dictionary, dim=1).T
    )
    found = float(cosine.abs().max(dim=1).values.mean())
    assert found > 0.9, f"the mean cosine with the planted directions is {found:.2f}"


def space_beats_the_mean(_method: Method, instance: Any) -> None:
    """It reconstructs better than the mean row does."""
    activations, _ = dictionary_world()
    values = activations.values
    rest = (_fitted(instance, activations)(values) - values).square().sum()
    assert float(rest) < float((values - values.mean(0)).square().sum()), "the reconstruction is worse than the mean"


def codes_are_nonnegative(_method: Method, instance: Any) -> None:
    """As claimed."""
    activations, _ = dictionary_world()
    lowest = float(_fitted(instance, activations).encode(activations.values).min())
    assert lowest >= 0, f"a code is {lowest}"


def space_survives_saving(_method: Method, instance: Any) -> None:
    """Save, load, encode again: equal bits."""
    activations, _ = dictionary_world()
    space = _fitted(instance, activations)
    with tempfile.TemporaryDirectory() as folder:
        again = ConceptSpace.load(space.save(Path(folder) / "space.safetensors"))
    assert torch.equal(again.encode(activations.values), space.encode(activations.values)), "codes differ after loading"


def same_seed_same_space(_method: Method, instance: Any) -> None:
    """Twice the same; the data and the global random state as they were."""
    activations, _ = dictionary_world()
    before, state = activations.values.clone(), torch.get_rng_state()
    one, two = _fitted(instance, activations), _fitted(instance, activations)
    assert torch.equal(one.dictionary, two.dictionary), "the same seed gave another dictionary"
    assert torch.equal(activations.values, before), "the activations were changed"
    assert torch.equal(torch.get_rng_state(), state), "the global random state was used"


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
        right, wrong, values = _spaces(instance)
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


def _spaces(metric: Any) -> tuple[float, float, list[float]]:
    activations, truth = dictionary_world()
    before = activations.values.clone()
    right = measure(truth, activations, by=metric).value
    wrong = measure(MixedSpace(truth.dictionary, truth.offset), activations, by=metric).value
    assert torch.equal(activations.values, before), "the activations were changed"
    return right, wrong, [right, wrong]


def _finite(value: float) -> bool:
    return bool(torch.isfinite(torch.tensor(value)))


def _of(kind: Kind, claim: Claim | None = None) -> Any:
    return lambda method: method.kind == kind and (claim is None or claim in method.claims)


def _metric(method: Method) -> bool:
    return method.kind == "metric" and method.measures in ("attribution", "concepts")


CHECKS = (
    Check(
        "each row is encoded by itself", "encode (n, d) -> (n, c), row by row.", _of("concepts"), space_has_its_shapes
    ),
    Check(
        "the planted dictionary is found",
        "Mean cosine above 0.9 on dictionary_world().",
        _of("concepts"),
        planted_dictionary_is_found,
    ),
    Check("it beats the mean", "Or drop the claim 'decodes'.", _of("concepts", "decodes"), space_beats_the_mean),
    Check(
        "codes are not negative",
        "Or drop the claim 'nonnegative'.",
        _of("concepts", "nonnegative"),
        codes_are_nonnegative,
    ),
    Check(
        "it survives saving",
        "Tensors as buffers named like the constructor's arguments.",
        _of("concepts"),
        space_survives_saving,
    ),
    Check(
        "the same seed gives the same space",
        "Draw from a generator seeded by `seed`.",
        _of("concepts"),
        same_seed_same_space,
    ),
    Check(
        "each concept is interpreted",
        "One LabelledConcept a concept, in order.",
        _of("interpretation"),
        each_concept_is_interpreted,
    ),
    Check("the truth beats a wrong answer", "Check the formula and higher_is_better.", _metric, truth_beats_error),
)
