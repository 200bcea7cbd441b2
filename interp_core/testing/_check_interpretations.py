"""Checks of interpretations."""

from __future__ import annotations

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation, interpret
from interp_core.plugin import Method
from interp_core.testing._check import Check
from interp_core.testing._planted_worlds import TOPICS, on_disk, scattered_topics, topic_world, unit_spans
from interp_core.testing._shared_models import model_world, shared


def each_concept_is_interpreted(_method: Method, instance: Any) -> None:
    """Each concept has one entry, with examples from the corpus and words of its topic; also one concept alone."""
    for activations, space in (topic_world(), scattered_topics()):
        interpretation = interpret(space, activations, by=instance)
        entries = interpretation.concepts
        assert len(entries) == space.concepts, f"{len(entries)} entries for {space.concepts} concepts"
        (alone,) = interpret(space, activations, by=instance, concepts=[1]).concepts
        for entry in (*entries, alone):
            _has_words_of_its_topic(entry, activations)


def _has_words_of_its_topic(entry: Any, activations: Activations) -> None:
    for example in entry.examples:
        spans = unit_spans(activations, example.text)
        assert (example.start, example.stop) in spans, f"{example} is not a unit of the corpus"
    words = " ".join([entry.label or "", *(w for w, _ in entry.words), *(e.text for e in entry.examples)]).split()
    assert set(words) & set(TOPICS[entry.concept]), f"no word of topic {TOPICS[entry.concept]} in {words[:12]}"


def labels_tell_concepts_apart(_method: Method, instance: Any) -> None:
    """Concepts of different topics have different labels."""
    activations, space = topic_world()
    labels = [entry.label for entry in interpret(space, activations, by=instance).concepts]
    named = [label for label in labels if label]
    assert len(set(named)) == len(named), f"concepts of different topics are labelled {labels}"


def examples_are_the_strongest(_method: Method, instance: Any) -> None:
    """An example has the code of its unit as its value, strongest first, and the strongest row is among them."""
    activations, space = scattered_topics()
    codes = space.encode(activations.matrix())
    for entry in interpret(space, activations, by=instance).concepts:
        values = [example.value for example in entry.examples]
        if not values:
            continue
        column = codes[:, entry.concept]
        for example in entry.examples:
            own = [v for row, v in enumerate(column.tolist()) if _is_of(activations, row, example)]
            near = min((abs(example.value - v) for v in own), default=float("inf"))
            assert near < 1e-4, f"{example} has a code of {own}"
        assert values == sorted(values, reverse=True), f"examples are not strongest first: {values}"
        assert values[0] >= float(column.max()) - 1e-4, f"the strongest row has {column.max():.3f}, not {values[0]:.3f}"


def _is_of(activations: Activations, row: int, example: Any) -> bool:
    unit = activations.unit(row)
    text = activations.texts[int(activations.text_of[row])]
    return (text, unit.start, unit.stop) == (example.text, example.start, example.stop)


def repeats_and_stores_are_equal(_method: Method, instance: Any) -> None:
    """The same call, and a store on disk in place of activations in memory, give the same words."""
    activations, space = topic_world(texts=30)
    first = interpret(space, activations, by=instance)
    assert _same(first, interpret(space, activations, by=instance)), "the same call twice gave different words"
    with tempfile.TemporaryDirectory() as folder:
        stored = interpret(space, on_disk(activations, Path(folder) / "store", rows=10), by=instance)
    assert _same(first, stored), "a store on disk gave other words than the same activations in memory"


def _same(one: Interpretation, other: Interpretation) -> bool:
    return one.concepts == other.concepts


class _Silent(ConceptSpace):
    """Concepts that are never active."""

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(len(values), self.concepts)


def what_is_never_active_has_no_words(_method: Method, instance: Any) -> None:
    """A concept that is never active has an entry too, without examples."""
    activations, _ = topic_world(texts=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that none of the concepts got a label
        entries = interpret(_Silent(torch.eye(3)), activations, by=instance).concepts
    for entry in entries:
        assert not entry.examples, f"concept {entry.concept} is never active and has examples: {entry.examples}"


def the_model_is_asked_about_each_concept(_method: Method, instance: Any) -> None:
    """Each concept has one entry, the same alone as among others, with finite strengths and units of the corpus."""
    split, activations, space = model_world()
    entries = interpret(space, activations, by=instance, model=split).concepts
    assert len(entries) == space.concepts, f"{len(entries)} entries for {space.concepts} concepts"
    (alone,) = interpret(space, activations, by=instance, model=split, concepts=[1]).concepts
    assert _alike(alone, entries[1]), f"concept 1 has {alone.words} alone, and {entries[1].words} among others"
    assert any(entry.words for entry in entries), "no concept has words"
    for entry in entries:
        assert all(math.isfinite(strength) for _, strength in entry.words), f"strengths are {entry.words}"
        for example in entry.examples:
            spans = unit_spans(activations, example.text)
            assert (example.start, example.stop) in spans, f"{example} is not a unit of the corpus"


def _alike(one: Any, other: Any) -> bool:
    strengths = zip(one.words, other.words, strict=False)
    return len(one.words) == len(other.words) and all(a[0] == b[0] and abs(a[1] - b[1]) < 1e-3 for a, b in strengths)


def another_model_gives_other_words(_method: Method, instance: Any) -> None:
    """The same concepts of another model of the same kind have other words."""
    split, activations, space = model_world()
    other = shared("other generator").split(-1)
    first, second = (interpret(space, activations, by=instance, model=one).concepts for one in (split, other))
    said = [entry.words for entry in first]
    assert said != [entry.words for entry in second], f"two models gave the same words: {said[0][:3]}"


def asking_repeats_and_leaves_the_model(_method: Method, instance: Any) -> None:
    """The same call gives the same words, and the model keeps its weights, flags and hooks."""
    split, activations, space = model_world()
    first = interpret(space, activations, by=instance, model=split)
    assert _same(first, interpret(space, activations, by=instance, model=split)), "the same call gave different words"
    assert shared("generator") is split.model, "the model was written into, or something was left on it"


def _is_interpretation(method: Method) -> bool:
    return method.kind == "interpretation" and "model" not in method.needs


def _asks_a_model(method: Method) -> bool:
    return method.kind == "interpretation" and "model" in method.needs


CHECKS = (
    Check(
        "each concept is interpreted",
        "Return one LabelledConcept for each concept, in order.",
        _is_interpretation,
        each_concept_is_interpreted,
    ),
    Check(
        "labels tell concepts apart",
        "Make a label from where its concept is active; None and a note where there is none.",
        _is_interpretation,
        labels_tell_concepts_apart,
    ),
    Check(
        "examples are where the concept is most active",
        "Read all rows; give each example the code of its own row, largest first.",
        _is_interpretation,
        examples_are_the_strongest,
    ),
    Check(
        "the same call gives the same words",
        "Draw from a generator seeded by `seed`; read rows by batches(), sample() or matrix(), never by .values.",
        _is_interpretation,
        repeats_and_stores_are_equal,
    ),
    Check(
        "a concept that is never active is left unnamed",
        "Give examples only of rows where the code is above 0.",
        _is_interpretation,
        what_is_never_active_has_no_words,
    ),
    Check(
        "the model is asked about each concept",
        "Return one LabelledConcept for each concept, in order, that depends on its own direction alone.",
        _asks_a_model,
        the_model_is_asked_about_each_concept,
    ),
    Check(
        "another model gives other words",
        "Ask the split model that interpret is given.",
        _asks_a_model,
        another_model_gives_other_words,
    ),
    Check(
        "asking a model repeats and leaves it as it was",
        "Draw from a generator seeded by `seed`; take hooks off, and write into no parameter.",
        _asks_a_model,
        asking_repeats_and_leaves_the_model,
    ),
)
