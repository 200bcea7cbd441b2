"""Occlusion says what it cannot see: a fact that is given twice."""

import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.testing import linear_world
from interp_occlusion.occlusion import Occlusion

FACT = "the box of ana holds a pear"
OTHERS = ["the box of tom holds a ring", "what does the box of ana hold", "the box of kim holds a cup"]


def lookup(names: list[str], holding: list[int], *, most: float = 8.0) -> Question:
    """The answer is known as long as one of the sentences that hold it is there; each of the others adds a little."""
    small = 0.01 * torch.arange(len(names))
    small[holding] = 0

    def score(v: torch.Tensor) -> torch.Tensor:
        there = v[:, holding, 0].amax(1)
        return (most * there - 5 + v[:, :, 0] @ small)[:, None]

    return ask(score, torch.ones(len(names), 1), names=names)


def test_a_fact_that_is_given_twice_is_told() -> None:
    question = lookup([FACT, *OTHERS, f"{FACT.upper()} ."], [0, 4])
    scores = Occlusion().attribute(question)
    assert not scores[0, [0, 4]].any()
    (note,) = question.noted
    assert f"The 2 units {FACT!r} say the same" in note
    assert "by -8, removing one of them by no more than 0." in note
    assert question.rows == 1 + 5 + 1


def test_a_fact_in_other_words_is_told_by_removing_all() -> None:
    question = lookup([FACT, *OTHERS, "a pear is in the box of ana"], [0, 4])
    Occlusion().attribute(question)
    (note,) = question.noted
    assert "Removing all units changes the score of 'y0' by -8.06, removing one by no more than 0.03" in note
    assert question.rows == 1 + 5 + 1


def test_small_effects_that_grow_a_little_together_are_not_told() -> None:
    """All change the score by .72, which is more than twice the .09 of each, and less than ten times."""
    score = torch.tensor([-0.72, -0.3, -0.09, 0.0])
    question = ask(lambda v: score[v.sum((1, 2)).long()][:, None], torch.ones(3, 1), names=OTHERS)
    Occlusion().attribute(question)
    assert question.noted == () and question.rows == 5


def test_a_fact_that_is_given_once_is_not_told() -> None:
    question = lookup([FACT, *OTHERS], [0])
    assert Occlusion().attribute(question)[0, 0] == pytest.approx(8.0)
    assert question.noted == () and question.rows == 5


def test_equal_sentences_whose_effects_add_up_are_not_told() -> None:
    """Each is worth 2, the two 4: leaving one out sees them."""
    weight = torch.tensor([2.0, 0.1, 2.0])
    question = ask(lambda v: v[:, :, 0] @ weight[:, None], torch.ones(3, 1), names=[FACT, OTHERS[0], FACT])
    Occlusion().attribute(question)
    assert question.noted == () and question.rows == 5


def test_equal_sentences_that_do_nothing_are_not_told() -> None:
    question = lookup([FACT, OTHERS[0], OTHERS[0]], [0])
    Occlusion().attribute(question)
    assert question.noted == ()


def test_words_that_repeat_cost_no_row() -> None:
    question = lookup(["the", "cat", "the", "cat", "is calm"], [1, 3])
    Occlusion().attribute(question)
    assert question.rows == 6 and question.noted == ()


def test_a_limit_on_rows_leaves_out_the_look_and_not_the_answer() -> None:
    question = lookup([FACT, *OTHERS, FACT], [0, 4]).with_budget(6)
    assert Occlusion().attribute(question).shape == (1, 5)
    assert question.rows == 6 and question.noted == ()


def test_the_target_that_changes_most_is_named() -> None:
    def scores(v: torch.Tensor) -> torch.Tensor:
        there = v[:, [0, 1], 0].amax(1)
        return torch.stack([there, -9 * there], 1)

    question = ask(scores, torch.ones(3, 1), names=[FACT, FACT, OTHERS[0]])
    Occlusion().attribute(question)
    (note,) = question.noted
    assert "of 'y1' by +9" in note


def test_what_is_linear_is_not_told_whatever_the_number_of_units() -> None:
    for units in (1, 2, 40, 300):
        question, _ = linear_world(0, units, 2)
        Occlusion().attribute(question)
        assert question.noted == ()
