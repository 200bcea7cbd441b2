"""A question and its scores always speak of the same: what its runner computes with cannot be replaced alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from interp_core.attribution import FunctionRunner, Question, ask
from interp_core.attribution._question import SHOWN
from interp_core.errors import InputError


def asked() -> Question:
    return ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]), names=["one", "two"])


OWNED: dict[str, Any] = {
    "x": torch.full((2, 1), 5.0),
    "baseline": torch.ones(2, 1),
    "unit_of": torch.tensor([0, 0]),
    "units": asked().units[:1],
    "targets": (),
    "removal": "drop",
}


@pytest.mark.parametrize("name", OWNED)
def test_what_the_runner_computes_with_is_not_replaced_without_it(name: str) -> None:
    question = asked()
    with pytest.raises(InputError, match=re.escape(f"{name!r} alone would not change the scores; give `runner=` too")):
        question.replace(**{name: OWNED[name]})
    assert question.intact().tolist() == [30.0]


def test_with_its_runner_a_question_answers_for_the_new_parts() -> None:
    question, x = asked(), OWNED["x"]
    runner = FunctionRunner(lambda v: 10 * v.sum(1), x, question.baseline, question.unit_of)
    other = question.replace(x=x, runner=runner)
    assert other.intact().tolist() == question.moved(x).intact().tolist() == [100.0]
    assert question.intact().tolist() == [30.0]


def test_the_intact_text_costs_one_row() -> None:
    rows: list[int] = []

    def counted(x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return x.sum(1)

    asked().replace(runner=FunctionRunner(counted, asked().x, asked().baseline, asked().unit_of), x=asked().x).intact()
    assert rows == [1]


def test_an_unknown_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no part 'max_row'.*Did you mean 'max_rows'"):
        asked().replace(max_row=3)
    with pytest.raises(InputError, match="no part '_memory'"):
        asked().replace(_memory=None)


@pytest.mark.parametrize("name", [*vars(asked()), "rows", "foo"])
def test_no_part_is_set_or_deleted_and_what_the_message_advises_works(name: str) -> None:
    question = asked()
    before = dict(vars(question))
    with pytest.raises(AttributeError, match="read-only") as refused:
        setattr(question, name, before.get(name))
    with pytest.raises(AttributeError, match="read-only"):
        delattr(question, name)
    assert vars(question) == before
    advice = re.search(r"question\.(\w+)\((.*)\)", str(refused.value))
    parts = {"runner": question.runner} | {name: before.get(name)}
    if advice is None:
        assert name in ("_memory", "_grouping", "rows", "foo")
    elif advice[1] == "replace":
        given = re.findall(r"(\w+)=", advice[2])
        assert question.replace(**{key: parts[key] for key in given}).intact().tolist() == [30.0]
    else:
        assert getattr(question, advice[1])(before[name]).intact().tolist() == [30.0]


# What is random, what is paid for, and what nobody asks for


def test_without_a_background_references_are_copies_of_the_baseline() -> None:
    baseline = torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.zeros(2, 2), baseline)
    assert torch.equal(question.references(3, torch.Generator()), baseline.repeat(3, 1, 1))
    assert question.references(0, torch.Generator()).shape == (0, 2, 2)


def test_references_draw_every_row_of_a_background_for_each_feature_alone_but_those_in_no_unit() -> None:
    background = torch.tensor([[1.0], [2.0], [3.0]])
    whole = ask(lambda v: v.sum((1, 2))[:, None], torch.zeros(3, 1))
    question = Question(
        whole.runner,
        x=whole.x,
        baseline=whole.baseline,
        unit_of=torch.tensor([0, 1, -1]),
        units=whole.units[:2],
        targets=whole.targets,
        text="",
        background=background,
    )
    drawn = question.references(300, torch.Generator().manual_seed(0)).squeeze(-1)
    assert not drawn[:, 2].any()  # in no unit
    pairs, counts = drawn[:, :2].unique(dim=0, return_counts=True)
    assert len(pairs) == 9 and int(counts.min()) > 300 / 9 / 2  # each pair about as often as any other


@pytest.mark.parametrize("bought", [0, 1, 2])
def test_what_a_budget_has_room_for_leaves_room_for_the_intact_and_the_emptied_text(bought: int) -> None:
    """Ends that are known already cost nothing more: with 11 rows there is room for 9 draws beside both."""
    question = asked().with_budget(11)
    for end in (question.intact, question.emptied)[:bought]:
        end()
    assert (question.rows, question.afford(100), question.afford(100, rows_each=2)) == (bought, 9, 4)
    assert question.afford(3) == 3


def test_no_variants_have_no_scores() -> None:
    question = ask(lambda v: torch.cat([v.sum(1), v.sum(1)], 1), torch.zeros(2, 1))
    assert question.masked(torch.zeros(0, 2, dtype=torch.bool)).shape == (0, 2)
    assert question.rows == 0


def test_the_words_of_a_function_are_its_text() -> None:
    question = asked()
    assert question.text == "one two" and [question.text[u.start : u.stop] for u in question.units] == ["one", "two"]


# What a question says of itself, and of what it cannot take


@pytest.mark.parametrize(("length", "shown"), [(SHOWN, "a" * SHOWN), (SHOWN + 1, "a" * (SHOWN - 1) + "…")])
def test_a_long_text_is_shortened_where_a_question_shows_itself(length: int, shown: str) -> None:
    question = ask(lambda v: v.sum(1), torch.ones(1, 1), names=["a" * length])
    assert repr(question) == f"Question({shown!r}, units=1, targets=['y0'], rows=0)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda question: question.moved(torch.zeros(3, 1)),
            "x is float32 (3, 1); numbers (2, 1) were expected, as the features of this question have.",
        ),
        (
            lambda question: question.at(torch.zeros(2, 1)),
            "x is float32 (2, 1); numbers (p, 2, 1) were expected, a variant of the features in each row.",
        ),
        (
            lambda question: question.pool(torch.zeros(1, 3)),
            "scores is float32 (1, 3); numbers (k, 2) were expected, one for each feature.",
        ),
        (
            lambda question: question.masked(torch.zeros(1, 2)),
            "keep is float32 (1, 2); a tensor of booleans (p, 2) was expected: a row for each variant, False for the "
            "units that are removed.",
        ),
        (
            lambda question: question.replace(intact=torch.zeros(2)),
            "intact is float32 (2,); numbers (1,) were expected, a score for each target.",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_described_with_what_would(call: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        call(asked())
    assert str(refused.value) == message


def test_features_that_cannot_be_set_say_what_to_ask() -> None:
    with pytest.raises(AttributeError) as refused:
        asked().x = torch.zeros(2, 1)
    assert str(refused.value) == "a Question is read-only, so 'x' cannot be set. Ask question.moved(x)."


def test_a_single_row_has_the_spread_of_its_distance_from_the_baseline() -> None:
    question = ask(lambda v: v.sum((1, 2))[:, None], torch.tensor([[3.0, 5.0]]), torch.tensor([[2.0, 2.0]]))
    assert question.spread == pytest.approx(5**0.5)  # of 1 and 9
    assert asked().spread == pytest.approx(0.5)  # of 1 and 2 about their mean
