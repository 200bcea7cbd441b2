"""Simulated activity against that of a planted world."""

from __future__ import annotations

import json
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.concepts import Interpretation, LabelledConcept
from interp_core.errors import InputError, LLMError, UnsupportedError
from interp_core.metrics import Score
from interp_core.statistics import interval_of_mean
from interp_core.testing import contract_tests
from interp_label_scores.planted_features import Coin, Constant, Oracle, planted_features
from interp_label_scores.simulation import Simulation, expected_in
from scipy.stats import pearsonr

test_simulation_contract = contract_tests("simulation")

WORLD = planted_features()


def measured(metric: Any, world: Any = WORLD, labels: Interpretation | None = None) -> Score:
    return interp.measure(labels or world.labels, world.space, world.activations, by=metric)


def test_an_oracle_is_perfectly_correlated_and_permuted_labels_hardly() -> None:
    score = measured(Simulation(llm=Oracle(WORLD.words)))
    assert score.value == pytest.approx(1, abs=1e-6) and int(score.values.isfinite().sum()) == 12
    low, high = interval_of_mean(score.values - score.margins)
    assert high < 0.1 and low > -0.1  # slightly below 0, since a word is of one feature only


def test_a_random_judge_is_at_zero() -> None:
    low, high = measured(Simulation(llm=Coin())).interval
    assert low <= 0 <= high and high - low < 0.15


def test_a_row_that_is_a_whole_text_is_one_number() -> None:
    world = planted_features(by_word=False)
    judge = Whole(world)
    assert measured(Simulation(llm=judge, permuted=False), world).value == pytest.approx(1, abs=1e-6)


class Whole:
    """Knows how active each feature is in each text."""

    def __init__(self, world: Any) -> None:
        values = world.activations.matrix()
        self.known = {text: values[i].tolist() for i, text in enumerate(world.activations.texts)}

    def generate(self, messages: list[dict[str, str]]) -> str:
        label, _, line = messages[-1]["content"].splitlines()
        return json.dumps({"activations": [self.known[line.removeprefix("1. ")][int(label.split()[-1])]]})


class Noisy:
    """Says something of its own about each unit, and keeps the units and what it said."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[str, float]]] = {}

    def generate(self, messages: list[dict[str, str]]) -> str:
        label, _, *lines = messages[-1]["content"].splitlines()
        words = [line.partition(". ")[2] for line in lines]
        numbers = [float((7 * sum(map(ord, word)) + i) % 11) for i, word in enumerate(words)]
        self.said.setdefault(label.removeprefix("Label: "), []).extend(zip(words, numbers, strict=True))
        return json.dumps({"activations": numbers})


def test_the_value_is_pearsons_correlation_over_all_units_shown() -> None:
    judge = Noisy()
    score = measured(Simulation(llm=judge, permuted=False))
    expected = []
    for label, pairs in judge.said.items():
        true = [WORLD.words[label].get(word, 0.0) for word, _ in pairs]
        expected.append(pearsonr(true, [number for _, number in pairs])[0])
    assert np.allclose(score.values.numpy(), expected, atol=1e-6) and score.value == pytest.approx(np.mean(expected))


def test_codes_below_zero_count_as_not_active() -> None:
    values = WORLD.activations.matrix().clone()
    values[values == 0] = -5.0
    held = type(WORLD.activations)(**{**vars(WORLD.activations), "values": values})
    score = interp.measure(WORLD.labels, WORLD.space, held, by=Simulation(llm=Oracle(WORLD.words)))
    assert score.value == pytest.approx(1, abs=1e-6)


def test_a_judge_that_expects_the_same_everywhere_gives_no_number_and_says_why() -> None:
    with pytest.raises(LLMError, match=r"12 concepts has a score: the judge expects the same everywhere.*: 12 \(con"):
        measured(Simulation(llm=Constant(3)))


def test_one_concept_of_which_the_same_is_expected_is_counted_and_is_not_zero() -> None:
    class Partly(Oracle):
        def generate(self, messages: list[dict[str, str]]) -> str:
            constant = "Label: feature 4\n" in messages[-1]["content"]
            return (Constant() if constant else super()).generate(messages)

    score = measured(Simulation(llm=Partly(WORLD.words), permuted=False))
    assert int(score.values.isfinite().sum()) == 11 and score.value == pytest.approx(1, abs=1e-6)
    assert "no correlation is defined: 1 (concept 4)" in score.notes[0]


def test_codes_that_are_equal_everywhere_have_no_correlation() -> None:
    """Excerpts of one unit are active or not by turns, so that only a concept with one code can be constant: drawn from
    codes above 0 and others it never is, unless what is not above 0 was lost with its answers."""

    class Forgets(Whole):
        def generate(self, messages: list[dict[str, str]]) -> str:
            said = super().generate(messages)
            return "?" if said == '{"activations": [0.0]}' else '{"activations": [1]}'

    world = planted_features(by_word=False, features=2)
    world.activations.values[world.activations.values > 0] = 1.0
    with pytest.raises(LLMError, match="the concept is equally active everywhere"):
        measured(Simulation(llm=Forgets(world), permuted=False), world)


def test_what_is_not_one_number_for_each_unit_is_left_out_and_counted() -> None:
    class Short(Oracle):
        def generate(self, messages: list[dict[str, str]]) -> str:
            said = json.loads(super().generate(messages))["activations"]
            return json.dumps({"activations": said[: -1 if len(self.asked) % 3 == 0 else None]})

    score = measured(Simulation(llm=Short(WORLD.words), permuted=False))
    assert score.value == pytest.approx(1, abs=1e-6) and int(score.values.isfinite().sum()) == 12
    assert "Of 240 answers 80 could not be read; they are left out." in score.notes


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"activations": [0, 10]}, [0.0, 10.0]),
        ([1.5, 2], [1.5, 2.0]),
        ({"activations": [0, 11]}, None),
        ({"activations": [-1, 0]}, None),
        ({"activations": [True, 0]}, None),
        ({"activations": ["3", 0]}, None),
        ({"activations": [0]}, None),
        (None, None),
    ],
)
def test_numbers_are_read_and_never_guessed(said: Any, expected: Any) -> None:
    assert expected_in(said, 2) == expected


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="examples=2 must be at least 3"):
        Simulation(examples=2)


def test_the_score_is_of_the_labels_that_are_measured() -> None:
    turned = Interpretation(tuple(LabelledConcept(i, f"feature {(i + 1) % 12}") for i in range(12)))
    score = measured(Simulation(llm=Oracle(WORLD.words), permuted=False), labels=turned)
    assert abs(score.value) < 0.1 and torch.isfinite(score.values).all()


def test_dense_codes_have_a_correlation_above_a_threshold() -> None:
    """The judge expects the codes without their noise, which is uniform on 0.03 to 0.3 and varies less than they do."""
    world = planted_features(dense=0.3)
    with pytest.raises(UnsupportedError, match=r"threshold=0\.2"):
        measured(Simulation(llm=Oracle(world.words)), world)
    score = measured(Simulation(llm=Oracle(world.words), threshold=0.13), world)
    low, high = interval_of_mean(score.values - score.margins)
    assert 0.95 < score.value < 1 and low > -0.15 and high < 0.1
