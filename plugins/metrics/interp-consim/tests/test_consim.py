"""What can be predicted of a model by its concepts, with judges whose answers are known."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_consim.activity import activity_of, weights_of
from interp_consim.consim import ConSim
from interp_consim.examination import macro_f1, names_in, predicted
from interp_consim.texts import answers_of, dealt
from interp_consim.word_guesser import WordGuesser
from interp_core.activations import Activations
from interp_core.concepts import Example, Interpretation
from interp_core.errors import InputError, LLMError, UnsupportedError
from interp_core.metrics import Score
from interp_core.testing import contract_tests
from interp_label_scores.planted_features import planted_features
from sklearn.metrics import f1_score

test_contract = contract_tests("consim")

CLASSES = ("dull", "merry", "odd")


def answered(seed: int = 0) -> tuple[Any, Activations]:
    """Independent features, and a model that says "merry" where the first is, else "odd" where the second is."""
    world = planted_features(features=6, texts=300, seed=seed)
    has = torch.stack([world.activations.matrix()[world.activations.text_of == i].amax(0) > 0 for i in range(300)])
    classes = torch.where(has[:, 0], 1, torch.where(has[:, 1], 2, 0))
    return world, replace(world.activations, predictions=classes, class_names=CLASSES)


WORLD, HELD = answered()
TRUTH = {str(text): CLASSES[int(c)] for text, c in zip(HELD.texts, HELD.predictions, strict=True)}
LINE = re.compile(r"^\d+\. (.*)$", re.MULTILINE)


def measured(metric: Any, held: Activations = HELD, labels: Interpretation = WORLD.labels) -> Score:
    return interp.measure(labels, WORLD.space, held, by=metric)


class Judge:
    """Answers each text by a function of it, and keeps what it was told."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.told = answer, []

    def generate(self, messages: list[dict[str, str]]) -> str:
        self.told.append(messages[-1]["content"])
        return json.dumps({"answers": [self.answer(line) for line in LINE.findall(messages[-1]["content"])]})


@pytest.mark.parametrize("form", ["global", "learning", "evaluation"])
def test_an_oracle_is_always_right(form: str) -> None:
    score = measured(ConSim(llm=Judge(TRUTH.__getitem__), form=form))
    assert score.value == 1 and len(score.values) == 50 and "macro F1 1.000" in score.notes[0]
    assert "Without concepts 1.000, so that they add +0.000" in score.notes[1]


def test_a_judge_that_guesses_is_at_chance() -> None:
    """Classes are guessed as often as they occur, so that the accuracy is the sum of the squares of their shares."""
    dice, shares = random.Random(0), np.bincount(HELD.predictions.numpy()) / 300
    score = measured(ConSim(llm=Judge(lambda _: dice.choices(CLASSES, shares)[0]), texts=250, baseline=False))
    assert score.interval[0] <= float((shares**2).sum()) <= score.interval[1] and score.interval[1] < score.chance + 0.1


def test_chance_is_the_most_frequent_answer_and_who_always_gives_it_is_there() -> None:
    most = CLASSES[int(np.bincount(HELD.predictions.numpy()).argmax())]
    score = measured(ConSim(llm=Judge(lambda _: most), texts=250))
    assert score.value == score.chance and score.margin == (0, 0)
    assert score.chance == pytest.approx(float(np.bincount(HELD.predictions.numpy()).max()) / 300, abs=0.04)


def test_concepts_help_a_judge_that_uses_them_and_wrong_labels_do_not() -> None:
    """A guesser by words knows nothing without concepts; the labels it is told are the words of each feature."""
    own = [" ".join(words) for words in WORLD.words.values()]
    true = Interpretation(tuple(replace(c, label=own[c.concept]) for c in WORLD.labels))
    turned = Interpretation(tuple(replace(c, label=own[c.concept - 1]) for c in WORLD.labels))
    right, wrong = (measured(ConSim(llm=WordGuesser(), top=1, texts=100), labels=one) for one in (true, turned))
    assert right.value > wrong.value + 0.3 and right.margin[0] > 0
    gain = float(re.search(r"they add ([+-]\d\.\d+)", right.notes[1])[1])
    alone = float(re.search(r"Without concepts (\d\.\d+)", right.notes[1])[1])
    assert gain == pytest.approx(right.value - alone, abs=2e-3) and gain > 0.2


def test_the_judge_is_told_what_the_form_says() -> None:
    told = {}
    for form in ("global", "learning", "evaluation"):
        judge = Judge(TRUTH.__getitem__)
        measured(ConSim(llm=judge, form=form, texts=10, learning=6))
        told[form], without = judge.told  # with concepts and without
        assert "feature" not in without and without.count("Text: ") == 6 and without.count("Class: ") == 6
        assert told[form].count("\n- ") == 3 and re.search(r"- merry: feature 0 \(\d\.\d\)", told[form])
    assert [told[form].count("\nConcepts: ") for form in told] == [0, 6, 16]
    assert [len(LINE.findall(one)) for one in told.values()] == [10, 10, 10]


def test_the_concepts_of_a_text_are_those_that_are_active_in_it() -> None:
    judge = Judge(TRUTH.__getitem__)
    measured(ConSim(llm=judge, form="evaluation", texts=20, per_prompt=20, baseline=False, top=99))
    for text, said in re.findall(r"^\d+\. (.*)\nConcepts: (.*)$", judge.told[0], re.MULTILINE):
        has = {label for label, own in WORLD.words.items() if set(own) & set(text.split())}
        assert set(re.findall(r"feature \d", said)) == has


def test_learning_takes_classes_by_turns_and_no_text_twice() -> None:
    parts = dealt(HELD, answers_of(HELD), WORLD.labels, (50, 21), 0)
    assert np.bincount(answers_of(HELD)[parts.learnt]).tolist() == [7, 7, 7]
    assert not set(parts.examined) & set(parts.learnt) and not set(parts.examined) & set(parts.weighed)
    assert len(set(parts.examined)) == 50
    other = dealt(HELD, answers_of(HELD), WORLD.labels, (50, 21), 1)
    assert set(parts.examined.tolist()) != set(other.examined.tolist())


def test_what_the_labeller_was_shown_is_not_examined() -> None:
    shown = tuple(Example(text, 0, 1, 1.0) for text in HELD.texts[:200])
    labels = Interpretation(
        (
            replace(WORLD.labels[0], shown=shown),
            replace(WORLD.labels[1], examples=shown[:9]),
            *WORLD.labels.concepts[2:],
        )
    )
    judge = Judge(TRUTH.__getitem__)
    score = measured(ConSim(llm=judge, texts=90), labels=labels)
    asked = {line for told in judge.told for line in LINE.findall(told)}
    assert len(score.values) == len(asked) == 90 and not asked & set(HELD.texts[:200])
    every = replace(WORLD.labels[0], shown=tuple(Example(text, 0, 1, 1.0) for text in HELD.texts[:297]))
    with pytest.raises(InputError, match="3 of 300 texts are left that the labeller was not shown"):
        measured(ConSim(llm=judge), labels=Interpretation((every,)))


def test_equal_texts_are_used_once() -> None:
    twice = [*HELD.texts[:150], *HELD.texts[:150]]
    parts = dealt(replace(HELD, texts=tuple(twice)), answers_of(HELD), WORLD.labels, (60, 60), 0)
    used = [twice[i] for i in [*parts.examined, *parts.learnt]]
    assert len(set(used)) == len(used) == 120


def test_activity_is_the_largest_code_of_a_text_on_a_scale_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, expected = torch.randn(len(HELD), 6, generator=torch.Generator().manual_seed(0)) - 1, np.zeros((300, 2))
    held = replace(HELD, values=matrix)
    for i in range(300):
        expected[i] = matrix[HELD.text_of == i][:, [4, 1]].amax(0).clamp(min=0)
    expected = 10 * expected / expected.max(axis=0)
    assert np.allclose(activity_of(WORLD.space, held, [4, 1]), expected) and (expected == 0).any()
    monkeypatch.setattr(Activations, "batches", lambda held: iter(held.matrix().split(7)))  # texts across batches
    assert np.allclose(activity_of(WORLD.space, held, [4, 1]), expected)


def test_weights_are_differences_of_means() -> None:
    activity = np.array([[1.0, 0.0], [3.0, 1.0], [0.0, 5.0]], dtype=np.float32)
    weights = weights_of(activity, np.array([0, 0, 1]), 3)
    assert weights.tolist() == [[2.0, -4.5], [-2.0, 4.5], [0.0, 0.0]]


def test_macro_f1_is_that_of_scikit_learn() -> None:
    g = np.random.default_rng(0)
    for _ in range(10):
        truth, told = g.integers(0, 4, 30), g.integers(0, 5, 30)
        assert macro_f1(truth, told) == pytest.approx(f1_score(truth, told, average="macro"))


def test_answers_that_name_no_class_are_left_out_and_counted() -> None:
    said = iter(["dull", "merry", "?"] * 999)
    score = measured(ConSim(llm=Judge(lambda line: TRUTH[line] if next(said) != "?" else "sorry"), texts=60))
    assert score.value == 1 and len(score.values) == 40
    assert "20 texts have no answer with concepts and are left out." in score.notes


def test_failed_calls_are_counted_and_too_few_answers_are_an_error() -> None:
    class Dead(Judge):
        def generate(self, messages: list[dict[str, str]]) -> str:
            answer = super().generate(messages)
            if len(self.told) in self.fails:
                raise LLMError("the line is dead")
            return answer

    judge = Dead(TRUTH.__getitem__)
    judge.fails = (1, 2)
    score = measured(ConSim(llm=judge))
    assert score.value == 1 and len(score.values) == 30 and score.usage.failed == 2
    assert "Of 10 answers 2 failed (the line is dead); they are left out." in score.notes
    judge.told, judge.fails = [], (1, 2, 3)
    with pytest.raises(LLMError, match="named a class for 20 of 50 texts"):
        measured(ConSim(llm=judge))


def test_names_are_read_without_regard_to_case_and_never_guessed() -> None:
    assert names_in({"answers": ["a", 1]}, 2) == ["a", "1"] and names_in({"answers": ["a"]}, 2) is None
    assert predicted([[" Merry ", "odd?"], None], [2, 1], CLASSES).tolist() == [1, -1, -1]


def test_names_of_classes_can_be_hidden() -> None:
    judge = Judge(lambda line: f"class {CLASSES.index(TRUTH[line])}")
    score = measured(ConSim(llm=judge, anonymous=True))
    assert score.value == 1 and not any(name in told for told in judge.told for name in CLASSES)


def test_without_the_baseline_half_is_asked() -> None:
    both, one = (measured(ConSim(llm=Judge(TRUTH.__getitem__), baseline=b)) for b in (True, False))
    assert (both.usage.conversations, one.usage.conversations) == (10, 5)
    assert not any("Without concepts" in note for note in one.notes)


def test_concepts_without_a_label_are_left_out_and_counted() -> None:
    entries = [replace(c, label=None) if c.concept in (2, 3) else c for c in WORLD.labels]
    judge = Judge(TRUTH.__getitem__)
    score = measured(ConSim(llm=judge), labels=Interpretation(tuple(entries)))
    assert "2 of 6 concepts have no label and were left out." in score.notes and "feature 2" not in "".join(judge.told)
    with pytest.raises(UnsupportedError, match="none of 1 concepts has a label"):
        measured(ConSim(llm=judge), labels=Interpretation((replace(WORLD.labels[0], label=None),)))


def test_predictions_are_needed_one_a_text_and_not_all_equal() -> None:
    with pytest.raises(InputError, match="predictions=True"):
        measured(ConSim(llm=Judge(str)), WORLD.activations)
    with pytest.raises(UnsupportedError, match="several classes"):
        measured(ConSim(llm=Judge(str)), replace(HELD, predictions=torch.ones(300, 3) > 0))
    with pytest.raises(InputError, match="the same answer"):
        measured(ConSim(llm=Judge(str)), replace(HELD, predictions=torch.ones(300, dtype=torch.long)))


@pytest.mark.parametrize(
    "wrong", [{"form": "local"}, {"texts": 0}, {"learning": -1}, {"top": 0}, {"per_prompt": 0}, {"seed": -1}]
)
def test_values_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ConSim(**wrong)
