from __future__ import annotations

from functools import partial

import pytest
from interp_core.errors import InputError, LLMError
from interp_core.plugin import _registry as registry
from interp_core.testing import contract_tests, run_checks
from interp_llm.asking import ask
from interp_llm.scripted import Scripted

test_contract = contract_tests("scripted")


def conversation(text):
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


def test_a_script_keeps_the_promises_of_a_language_model():
    outcomes = run_checks("scripted", answers=lambda messages: f"label of {messages[-1]['content']}")
    assert {one.check.name: one.message for one in outcomes if not one.passed} == {}


@pytest.mark.parametrize(
    "answers", [{"a": "A", "b": "B"}, ["A", "B"], lambda messages: messages[-1]["content"].upper()]
)
def test_a_script_is_a_mapping_a_sequence_or_a_function(answers):
    assert ask(Scripted(answers), [conversation("a"), conversation("b")]).answers == ("A", "B")


def test_a_script_can_fail_and_can_end():
    llm = Scripted(["A", LLMError("on purpose")])
    answers = ask(llm, [conversation(text) for text in "abc"]).answers
    assert answers[0] == "A" and str(answers[1]) == "on purpose" and "no answer number 3" in str(answers[2])


def test_a_dry_run_shows_what_would_be_sent_and_its_cost_and_answers_nothing(tmp_path):
    dry = Scripted(prices=(10.0, 20.0), answer_tokens=5)
    asked = ask(dry, [conversation("x" * 40), conversation("é" * 8)], cache=tmp_path)
    sent = 2 * (4 + 2) + (4 + 10) + (4 + 4)  # four a message, and a token for four bytes
    assert dry.asked == [conversation("x" * 40), conversation("é" * 8)]
    assert all("dry run" in str(answer) for answer in asked.answers)
    assert asked.usage == dry.usage() and asked.usage.dry
    assert str(asked.usage).startswith(f"2 conversations (a dry run, nothing asked), {sent} + 10 tokens, price ")
    assert (asked.usage.failed, asked.usage.prompt_tokens, asked.usage.answer_tokens) == (2, sent, 10)
    assert asked.usage.price == pytest.approx((10 * sent + 20 * 10) / 1e6)
    assert ask(Scripted(), [conversation("x" * 40)], cache=tmp_path).usage.cached == 0


def test_scripts_are_told_apart_in_a_cache(tmp_path):
    scripts = ({"a": "A"}, {"a": "B"}, ["C"])
    answers = [ask(Scripted(script), [conversation("a")], cache=tmp_path).answers for script in scripts]
    assert answers == [("A",), ("B",), ("C",)]
    assert ask(Scripted({"a": "A"}), [conversation("a")], cache=tmp_path).usage.cached == 1


def last_word(messages):
    return messages[-1]["content"].split()[-1]


class Speaker:
    def says(self, messages):
        return "as a method"

    def __call__(self, messages):
        return "as an object"


def nested():
    return lambda messages: "nested"


WITHOUT_A_NAME = [
    lambda messages: "A",
    lambda messages: "B",
    nested(),
    partial(last_word),
    Speaker().says,
    Speaker(),
]


@pytest.mark.parametrize("function", WITHOUT_A_NAME)
def test_a_function_that_no_name_tells_from_others_is_refused_a_cache_and_works_without(tmp_path, function):
    assert Scripted(function).identity() is None
    with pytest.raises(InputError, match="cannot be kept"):
        ask(Scripted(function), [conversation("one word")], cache=tmp_path)
    (answer,) = ask(Scripted(function), [conversation("one word")]).answers
    assert answer == function(conversation("one word"))


def test_answers_of_a_function_of_a_module_are_kept(tmp_path):
    for cached in (0, 1):
        asked = ask(Scripted(last_word), [conversation("one word")], cache=tmp_path)
        assert asked.answers == ("word",) and asked.usage.cached == cached


@pytest.mark.parametrize(
    "wrong",
    [
        {"answers": "A"},
        {"prices": (-1.0, 0.0)},
        {"prices": (0.1, float("nan"))},
        {"answer_tokens": -1},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError):
        Scripted(**wrong)


def test_it_is_found_by_name():
    assert registry.method("scripted", "llm") == Scripted()
