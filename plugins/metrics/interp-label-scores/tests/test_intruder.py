"""The odd one out, in worlds where it is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import interp_core as interp
import pytest
from interp_core.concepts import Interpretation, LabelledConcept
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import Score
from interp_core.testing import contract_tests
from interp_label_scores.intruder import Intruder, number_in, outcome_of
from interp_label_scores.planted_features import Coin, planted_features

test_intruder_contract = contract_tests("intruder")

WORLD = planted_features()


def measured(metric: Any, labels: Interpretation = WORLD.labels) -> Score:
    return interp.measure(labels, WORLD.space, WORLD.activations, by=metric)


class Attentive:
    """Finds the excerpt that lacks what all the others have; the first if there are several such."""

    def __init__(self, answer: Any = lambda place: {"intruder": place + 1}) -> None:
        self.answer, self.asked = answer, []

    def generate(self, messages: list[dict[str, str]]) -> str:
        lines = [line.partition(". ")[2] for line in messages[-1]["content"].splitlines()]
        self.asked.append(lines)
        has = [{label for label, own in WORLD.words.items() if set(own) & set(line.split())} for line in lines]
        odd = [i for i in range(len(lines)) if set.intersection(*(has[:i] + has[i + 1 :])) - has[i]]
        return json.dumps(self.answer(odd[0] if odd else 0))


def test_who_sees_what_four_have_in_common_finds_the_fifth() -> None:
    score = measured(Intruder(llm=Attentive(), options=9))  # of nine excerpts few share anything by chance
    assert score.value > 0.95 and score.chance == pytest.approx(1 / 9)
    assert measured(Intruder(llm=Attentive())).value > 0.5  # of five, another one may lack something too


def test_a_random_judge_is_at_one_in_five() -> None:
    score = measured(Intruder(llm=Coin(), trials=40))
    assert score.chance == 0.2 and score.interval[0] <= 0.2 <= score.interval[1]
    assert score.interval[1] - score.interval[0] < 0.15


def test_four_excerpts_have_the_concept_and_one_lacks_it() -> None:
    judge = Attentive()
    measured(Intruder(llm=judge, context=99), labels=Interpretation((WORLD.labels[3],)))
    words = set(WORLD.words["feature 3"])
    assert len(judge.asked) == 10
    places = [[i for i, line in enumerate(lines) if not words & set(line.split())] for lines in judge.asked]
    assert all(len(own) == 1 for own in places) and len({own[0] for own in places}) > 2
    assert all(len(set(lines)) == 5 for lines in judge.asked)


def test_labels_are_not_used_which_the_notes_say_and_concepts_without_one_are_asked_about() -> None:
    silent = Interpretation(tuple(replace(c, label=None) for c in WORLD.labels))
    one, two = measured(Intruder(llm=Attentive())), measured(Intruder(llm=Attentive()), labels=silent)
    assert one.values.equal(two.values) and any("Labels are not used" in note for note in one.notes)


def test_a_concept_with_too_few_examples_is_counted() -> None:
    lone = Interpretation((LabelledConcept(0, "x"),))
    held = planted_features(texts=6, share=0.5, seed=3)
    with pytest.raises(UnsupportedError, match="too few excerpts"):
        interp.measure(lone, held.space, held.activations, by=Intruder(llm=Attentive(), options=9))


def test_answers_that_name_no_excerpt_are_left_out_and_counted() -> None:
    score = measured(Intruder(llm=Attentive(lambda place: {"intruder": 6 if place == 0 else place + 1})))
    lost = next(note for note in score.notes if "could not be read" in note)
    assert lost.startswith("Of 120 answers ") and score.value > 0.7


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"intruder": 3}, 2),
        ({"intruder": "3"}, 2),
        ([5], 4),
        ([1, 2], None),
        ({"intruder": 6}, None),
        ({"intruder": 0}, None),
        ({"intruder": 1.5}, None),
        ({"intruder": "²"}, None),
        ({"odd": 1}, None),
        (None, None),
    ],
)
def test_a_number_is_read_and_never_guessed(said: Any, place: int | None) -> None:
    assert number_in(said, 5) == place


def test_the_share_is_of_the_trials_with_an_answer() -> None:
    assert outcome_of([0, 1, 2, 3], [0, 1, 0, None]).value == pytest.approx(2 / 3)
    assert outcome_of([0, 1, 2, 3], [0, None, None, None]).value is None


@pytest.mark.parametrize("wrong", [{"options": 2}, {"trials": 0}, {"context": -1}, {"bins": 0}])
def test_values_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="must be at least"):
        Intruder(**wrong)


def test_dense_codes_have_intruders_below_a_threshold() -> None:
    world = planted_features(dense=0.3)
    with pytest.raises(UnsupportedError, match=r"threshold=0\.2"):
        interp.measure(world.labels, world.space, world.activations, by=Intruder(llm=Attentive(), options=9))
    method = Intruder(llm=Attentive(), options=9, threshold=0.13)
    score = interp.measure(world.labels, world.space, world.activations, by=method)
    assert score.value > 0.95 and "A concept counts as active above 0.13 of its largest code." in score.notes
