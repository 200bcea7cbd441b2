"""What is handed to a method stays the caller's: attributions, questions, activations and spaces are as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.attribution import ask, explain
from interp_core.concepts import ConceptSpace, Interpretation, LabelledConcept
from interp_core.errors import ModelError
from interp_core.metrics import Score
from interp_core.results import _lent, lent
from interp_core.testing import dictionary_world, planted_model

WAYS = {
    "in place": lambda tensor: tensor.zero_(),
    "by an index": lambda tensor: tensor.__setitem__(slice(None), 0),
    "through NumPy": lambda tensor: tensor.numpy().fill(0),
    "through .data": lambda tensor: tensor.data.zero_(),
    "into a view": lambda tensor: tensor.flatten()[0].fill_(7.5),
}


@dataclass(frozen=True)
class Writes:
    """Writes into one part of one of the values that it is given."""

    value: int = 0
    part: str = "x"
    way: str = "in place"
    higher_is_better: ClassVar[bool | None] = None

    def _write(self, *values: Any) -> None:
        part = values[self.value]
        for name in self.part.split("."):
            part = getattr(part, name)
        WAYS[self.way](part)

    def attribute(self, question: Any) -> torch.Tensor:
        scores = (question.intact() - question.masked(~torch.eye(len(question.units), dtype=torch.bool))).T
        self._write(question)
        return scores

    def fit(self, activations: Any) -> ConceptSpace:
        self._write(activations)
        return ConceptSpace(torch.eye(activations.width))

    def interpret(self, space: Any, activations: Any) -> Interpretation:
        self._write(space, activations)
        return Interpretation(tuple(LabelledConcept(i, "rain") for i in range(space.concepts)))

    def measure(self, *values: Any) -> Score:
        self._write(*values)
        return Score(1.0, None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["x", "baseline"])
def test_a_method_cannot_write_into_the_question_of_the_caller(part: str, way: str) -> None:
    x, baseline = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.25]])
    question = ask(lambda v: v.sum(1), x, baseline)
    with pytest.raises(ModelError, match=rf"Writes wrote into Question\.{part}, .*x\.clone\(\).*as it was"):
        explain(Writes(part=part, way=way), question)
    assert x.tolist() == [[1.0], [2.0]] and baseline.tolist() == [[0.5], [0.25]]
    assert question.intact().tolist() == [3.0]


def test_a_method_cannot_write_into_the_vectors_that_all_questions_about_a_model_share() -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    before = model.embeddings.some.clone()
    with pytest.raises(ModelError, match=r"Question\.background"):
        interp.attribute(model, "so happy", by=Writes(part="background"), progress=False)
    assert torch.equal(model.embeddings.some, before)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["scores", "intact", "encoded.ids"])
def test_a_metric_cannot_write_into_the_attribution_of_the_caller(part: str, way: str) -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    (attribution,) = interp.attribute(model, "so happy today", by="occlusion", progress=False)
    before = attribution.scores.clone(), attribution.encoded.ids.clone(), attribution.intact.clone()
    with pytest.raises(ModelError, match=f"Attribution.{part}"):
        interp.measure(attribution, model, by=Writes(part=part, way=way), progress=False)
    kept = attribution.scores, attribution.encoded.ids, attribution.intact
    assert all(map(torch.equal, kept, before))


CALLS = {
    "fit": lambda rows, space, by: interp.fit_concepts(rows, by=by),
    "interpret": lambda rows, space, by: interp.interpret(space, rows, by=by),
    "measure": lambda rows, space, by: interp.measure(space, rows, by=by),
    "measure what was interpreted": lambda rows, space, by: interp.measure(
        Interpretation((LabelledConcept(0, "rain"),)), space, rows, by=by
    ),
}
HANDED = [
    ("fit", 0, "values"),
    ("fit", 0, "labels"),
    ("interpret", 0, "dictionary"),
    ("interpret", 1, "values"),
    ("measure", 0, "dictionary"),
    ("measure", 1, "values"),
    ("measure what was interpreted", 1, "dictionary"),
    ("measure what was interpreted", 2, "values"),
]


@pytest.mark.parametrize("way", ["in place", "through NumPy"])
@pytest.mark.parametrize(("call", "value", "part"), HANDED)
def test_no_method_can_write_into_the_activations_or_the_space(call: str, value: int, part: str, way: str) -> None:
    rows, space = dictionary_world(rows=30)
    before = rows.values.clone(), rows.labels.clone(), space.dictionary.clone()
    with pytest.raises(ModelError, match=rf"wrote into \w+\.{part}"):
        CALLS[call](rows, space, Writes(value, part, way))
    assert all(map(torch.equal, (rows.values, rows.labels, space.dictionary), before))


def test_large_activations_are_not_copied_and_a_write_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lent, "COPIED", 10)
    rows = of_rows(torch.ones(8, 4))
    with lent(None, rows) as (given,):
        assert given.values.data_ptr() == rows.values.data_ptr()
    with pytest.raises(ModelError, match="what you hold has changed: make it again"):
        interp.fit_concepts(rows, by=Writes(part="values"))


def test_what_is_only_read_is_no_error_not_even_where_it_is_nan() -> None:
    rows = of_rows(torch.tensor([[float("nan"), 1.0], [float("inf"), 2.0]]))
    with lent(None, rows, [1, 2], "text", 3) as given:
        assert given[0].texts is rows.texts and given[1:] == ([1, 2], "text", 3)


def test_a_tensor_that_was_made_in_inference_mode_can_be_lent() -> None:
    with torch.inference_mode():
        made = torch.ones(3)
    with lent(None, made) as (given,):
        assert given.sum() == 3


def test_lists_such_as_the_marks_of_people_are_copied() -> None:
    marks = [[(0, 3)], [(4, 7)]]
    with lent(None, marks) as (given,):
        given[0].clear()
    assert marks == [[(0, 3)], [(4, 7)]]
