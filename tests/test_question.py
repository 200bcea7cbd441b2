"""A question and its scores always speak of the same: what its runner computes with cannot be replaced alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from interp_core.attribution import FunctionRunner, Question, ask
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
        assert name in ("_memory", "rows", "foo")
    elif advice[1] == "replace":
        given = re.findall(r"(\w+)=", advice[2])
        assert question.replace(**{key: parts[key] for key in given}).intact().tolist() == [30.0]
    else:
        assert getattr(question, advice[1])(before[name]).intact().tolist() == [30.0]
