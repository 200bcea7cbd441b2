from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest
from interp_core.errors import InputError, LLMError, UnsupportedError
from interp_llm.answer import Answer, UnusableError
from interp_llm.asking import ask, check_ready
from interp_llm.cache import FILE, Cache
from interp_llm.prices import check_prices


def conversations(*texts):
    return [[{"role": "system", "content": "Answer."}, {"role": "user", "content": text}] for text in texts]


def said(messages):
    return messages[-1]["content"]


@dataclass(frozen=True)
class Each:
    """Answers the last conversation first, with tokens, and fails where it is told to."""

    model: str = "each"
    timeout: float = 1.0
    temperature: float = 0.0
    prices: tuple[float, float] | None = None
    failing: tuple[str, ...] = field(default=(), repr=False)
    asked: list = field(default_factory=list, repr=False, compare=False)

    def generate_each(self, conversations, *, schema=None):
        for place, messages in reversed(list(enumerate(conversations))):
            self.asked.append((said(messages), schema))
            if said(messages) in self.failing:
                yield place, LLMError(f"no {said(messages)}")
            else:
                yield place, Answer(f"label of {said(messages)}", prompt_tokens=10, answer_tokens=3)


class Alone:
    def generate(self, messages):
        if said(messages) == "broken":
            raise ZeroDivisionError("of the client")
        return f"label of {said(messages)}"


class Together(Alone):
    def generate_all(self, conversations):
        return [f"together {said(messages)}" for messages in conversations]


def test_answers_stand_in_the_order_of_the_conversations_however_they_come():
    assert ask(Each(), conversations("a", "b", "c")).answers == ("label of a", "label of b", "label of c")
    assert ask(Alone(), conversations("a", "b")).answers == ("label of a", "label of b")


def test_all_at_once_is_preferred_to_one_by_one_and_one_as_it_comes_to_both():
    class All(Together):
        def generate_each(self, conversations):
            return ((place, "each") for place in range(len(conversations)))

    assert ask(Together(), conversations("a")).answers == ("together a",)
    assert ask(All(), conversations("a")).answers == ("each",)


def test_nothing_is_asked_for_no_conversations():
    asked = ask(Each(), [])
    assert asked.answers == () and asked.usage.conversations == 0


def test_equal_conversations_are_asked_once_and_their_tokens_counted_once():
    llm = Each(prices=(1e6, 2e6))
    asked = ask(llm, conversations("a", "b", "a", "a"))
    assert asked.answers == ("label of a", "label of b", "label of a", "label of a")
    assert sorted(text for text, _ in llm.asked) == ["a", "b"]
    usage = asked.usage
    assert (usage.conversations, usage.cached, usage.failed) == (4, 0, 0)
    assert (usage.prompt_tokens, usage.answer_tokens, usage.price) == (20, 6, 20 + 2 * 6)


def test_a_second_run_asks_nothing_that_has_an_answer_and_pays_nothing_for_it(tmp_path):
    ask(Each(prices=(1.0, 1.0)), conversations("a", "b"), cache=tmp_path / "deep" / "cache")
    again = Each(prices=(1.0, 1.0))
    asked = ask(again, conversations("b", "c", "a"), cache=tmp_path / "deep" / "cache")
    assert asked.answers == ("label of b", "label of c", "label of a")
    assert [one.cached for one in asked.answers] == [True, False, True]
    assert [one.prompt_tokens for one in asked.answers] == [10, 10, 10]
    assert again.asked == [("c", None)]
    assert (asked.usage.cached, asked.usage.prompt_tokens, asked.usage.answer_tokens) == (2, 10, 3)
    assert asked.usage.price == pytest.approx(13e-6)


def test_failed_calls_and_blank_answers_are_asked_again(tmp_path):
    class Blank:
        def generate(self, messages):
            return " \n"

    first = ask(Each(failing=("b",)), conversations("a", "b", "c"), cache=tmp_path)
    assert isinstance(first.answers[1], LLMError) and first.usage.failed == 1
    again = Each()
    second = ask(again, conversations("a", "b", "c"), cache=tmp_path)
    assert again.asked == [("b", None)] and second.answers[1] == "label of b" and second.usage.cached == 2
    assert ask(Blank(), conversations("x"), cache=tmp_path).usage.cached == 0
    assert ask(Blank(), conversations("x"), cache=tmp_path).usage.cached == 0


def test_tokens_of_an_answer_that_cannot_be_used_are_paid_for():
    class Filtered:
        prices = (1.0, 1.0)

        def generate(self, messages):
            raise UnusableError("refused by the content filter.", prompt_tokens=7, answer_tokens=2)

    usage = ask(Filtered(), conversations("a")).usage
    assert (usage.failed, usage.prompt_tokens, usage.answer_tokens, usage.price) == (1, 7, 2, 9e-6)


@pytest.mark.parametrize(
    ("other", "schema", "asks"),
    [
        (Each(model="other"), None, True),
        (Each(temperature=1.0), None, True),
        (Each(), {"type": "object"}, True),
        (Each(timeout=9.0), None, False),
        (Each(prices=(1.0, 2.0)), None, False),
    ],
)
def test_what_changes_answers_asks_anew_and_what_does_not_does_not(tmp_path, other, schema, asks):
    ask(Each(), conversations("a"), cache=tmp_path)
    asked = ask(other, conversations("a"), cache=tmp_path, schema=schema)
    assert asked.usage.cached == (not asks)


def test_clients_of_one_class_are_told_apart_by_what_they_say_of_themselves(tmp_path):
    class Named:
        def __init__(self, name, model=None):
            self.name = name
            if model:
                self.model = model

        def generate(self, messages):
            return self.name

    class Saying(Named):
        def identity(self):
            return {"name": self.name}

    for kind, ones in ((Saying, (("x",), ("y",))), (Named, (("x", "m"), ("y", "n")))):
        answers = [ask(kind(*one), conversations("a"), cache=tmp_path).answers[0] for one in ones]
        assert answers == ["x", "y"]


def test_a_schema_reaches_only_clients_that_take_one():
    llm = Each()
    ask(llm, conversations("a"), schema={"type": "object"})
    assert llm.asked == [("a", {"type": "object"})]
    assert ask(Together(), conversations("a"), schema={"type": "object"}).answers == ("together a",)


def test_what_a_client_raises_takes_its_place_and_no_other_down():
    answers = ask(Alone(), conversations("a", "broken", "c")).answers
    assert answers[0] == "label of a" and answers[2] == "label of c"
    assert isinstance(answers[1], LLMError) and "ZeroDivisionError: of the client" in str(answers[1])


@pytest.mark.parametrize("error", [InputError("no key"), UnsupportedError("no template")])
def test_a_client_that_cannot_be_asked_at_all_says_so(error):
    class Unable:
        def generate(self, messages):
            raise error

    with pytest.raises(type(error), match=str(error)):
        ask(Unable(), conversations("a"))


@pytest.mark.parametrize("error", [OSError("the line is dead"), KeyboardInterrupt()])
def test_what_came_before_a_client_broke_down_is_kept(tmp_path, error):
    class Dying:
        def identity(self):
            return "the same"

        def generate_each(self, conversations):
            yield 1, "one"
            raise error

    class Living(Alone):
        def identity(self):
            return "the same"

    if isinstance(error, Exception):
        answers = ask(Dying(), conversations("a", "b", "c"), cache=tmp_path).answers
        assert answers[1] == "one" and all("the line is dead" in str(answers[i]) for i in (0, 2))
    else:
        with pytest.raises(KeyboardInterrupt):
            ask(Dying(), conversations("a", "b", "c"), cache=tmp_path)
    assert ask(Living(), conversations("a", "b", "c"), cache=tmp_path).answers == ("label of a", "one", "label of c")


def test_a_client_that_answers_too_little_or_to_nobody_is_found_out():
    class Short:
        def generate_each(self, conversations):
            yield 0, "one"

    class Astray(Short):
        def generate_each(self, conversations):
            yield 7, "one"

    class Fewer:
        def generate_all(self, conversations):
            return ["one"]

    answers = ask(Short(), conversations("a", "b")).answers
    assert answers[0] == "one" and isinstance(answers[1], LLMError)
    with pytest.raises(LLMError, match="place 7 of 2"):
        ask(Astray(), conversations("a", "b"))
    with pytest.raises(LLMError, match="1 answers to 2 conversations"):
        ask(Fewer(), conversations("a", "b"))


@pytest.mark.parametrize("odd", [None, 3, ["a"], ValueError("odd")])
def test_what_is_no_text_is_a_failed_call(odd):
    class Odd:
        def generate_all(self, conversations):
            return [odd]

    (answer,) = ask(Odd(), conversations("a")).answers
    assert isinstance(answer, LLMError)


def test_a_client_may_write_into_what_it_is_handed():
    class Rude:
        def generate(self, messages):
            messages[0]["content"] = "overwritten"
            messages.clear()
            return "done"

    given = conversations("a")
    ask(Rude(), given)
    assert given == conversations("a")


@pytest.mark.parametrize("wrong", [[[]], [[{"content": "a"}]], [[{"role": "user"}]]])
def test_what_is_no_conversation_is_refused_before_anything_is_asked(wrong):
    llm = Each()
    with pytest.raises(InputError, match="list of messages"):
        ask(llm, wrong)
    assert not llm.asked


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match="no generate"):
        ask(object(), conversations("a"))


TEXTS = ("🍏 déjà vu 𝕏", "half of a pair \ud83d", "\x00 and \u2028", '{"a": [1]}')


def test_texts_of_all_kinds_survive(tmp_path):
    class Echo:
        def generate(self, messages):
            return said(messages)

    for cached in (0, len(TEXTS)):
        asked = ask(Echo(), conversations(*TEXTS), cache=tmp_path)
        assert asked.answers == TEXTS and asked.usage.cached == cached


def test_the_cache_holds_no_conversation(tmp_path):
    ask(Each(), conversations("a private excerpt"), cache=tmp_path)
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"label of a private" in held and b"Answer." not in held and b"system" not in held


def spoilt(folder, how):
    file = folder / FILE
    if how == "garbage":
        file.write_bytes(b"no database at all " * 99)
    elif how == "foreign":
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE answers (key, answer)")
            other.execute("PRAGMA user_version = 1")
    elif how == "a folder":
        file.mkdir()
    else:
        with Cache(folder) as cache:
            cache.keep("a", Answer("b"))
        with closing(sqlite3.connect(file, isolation_level=None)) as ours:
            if how == "a later version":
                ours.execute("PRAGMA user_version = 2")
            else:
                ours.execute("UPDATE answers SET answer = ?", (how,))
    return folder


@pytest.mark.parametrize("how", ["garbage", "foreign", "a folder", "a later version"])
def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path, how):
    file = spoilt(tmp_path, how) / FILE
    before = file.is_file() and file.read_bytes()
    with pytest.raises(InputError, match="cache"):
        ask(Each(), conversations("a"), cache=tmp_path)
    assert (file.is_file() and file.read_bytes()) == before


DAMAGED = ["{", "[]", "5", "null", '"a"', "{}", '{"text": 3}', '{"text": "a", "odd": 1}']
DAMAGED += ['{"text": "a", "prompt_tokens": "9"}', '{"text": "a", "finish_reason": null}']


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_answer_is_refused(tmp_path, how):
    with Cache(spoilt(tmp_path, how)) as cache, pytest.raises(InputError, match="damaged"):
        cache.answers(["a"])


def test_a_cut_off_file_is_refused(tmp_path):
    ask(Each(), conversations(*map(str, range(300))), cache=tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be used"):
        ask(Each(), conversations(*map(str, range(300))), cache=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be used"):
        ask(Each(), conversations("a"), cache=tmp_path / "file")


PROCESS = """
import sys
from interp_llm.asking import ask
class Echo:
    def generate(self, messages):
        return "label of " + messages[-1]["content"]
start = int(sys.argv[2])
texts = [str(i) for i in range(start, start + 150)]
asked = ask(Echo(), [[{"role": "user", "content": text}] for text in texts], cache=sys.argv[1])
assert asked.answers == tuple("label of " + text for text in texts)
"""


def test_two_processes_write_into_one_cache_at_once(tmp_path):
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "cache")]
    running = [subprocess.Popen([*command, start], stderr=subprocess.PIPE) for start in ("0", "100")]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    with closing(sqlite3.connect(tmp_path / "cache" / FILE)) as file:
        answers = [json.loads(answer)["text"] for (answer,) in file.execute("SELECT answer FROM answers")]
    assert sorted(answers) == sorted(f"label of {i}" for i in range(250))


def test_an_answer_is_a_text_that_can_be_copied_and_sent():
    import copy
    import pickle

    answer = Answer("fruit", prompt_tokens=3, answer_tokens=1, finish_reason="stop", cached=True)
    for other in (copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert other == answer and vars(other) == vars(answer)


@pytest.mark.parametrize("wrong", ["", "  "])
def test_a_cache_without_a_name_is_refused_before_anything_is_asked_or_written(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    llm = Each()
    for call in (lambda: ask(llm, conversations("a"), cache=wrong), lambda: check_ready(llm, cache=wrong)):
        with pytest.raises(InputError, match="the path of a folder was expected"):
            call()
    assert not llm.asked and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"llm": Each}, "llm=Each is a class; give an instance"),
        ({"llm": None}, "NoneType has no generate"),
        ({"progres": False}, "Did you mean 'progress'"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused_in_words(wrong, said):
    with pytest.raises(InputError, match=said):
        ask(**{"llm": Each(), "conversations": conversations("a"), **wrong})


NO_PRICES = [(0.1, float("nan")), (float("nan"), 0.1), (-1.0, 0.0), (0.0, float("inf")), ("0.1", "0.2"), "12", 3, (1,)]
NO_PRICES += [(1, 2, 3), (True, 1.0), {"sent": 1, "received": 2}, (None, 1.0)]


@pytest.mark.parametrize("wrong", NO_PRICES, ids=repr)
def test_what_is_no_pair_of_prices_is_refused_of_every_client(wrong):
    class Priced(Alone):
        prices = wrong

    with pytest.raises(InputError, match=r"prices is .*expected"):
        check_prices(wrong)
    with pytest.raises(InputError, match=r"prices is .*expected"):
        ask(Priced(), conversations("a"))
    for right in (None, (0, 1), [0.15, 0.6], (np.float32(0.5), np.int64(2))):
        check_prices(right)


class Keyed(Each):
    """Needs a key, and has none."""

    def ready(self):
        raise InputError("there is no key")


def test_a_client_need_not_be_ready_for_what_the_cache_knows(tmp_path):
    for cache in (None, tmp_path):  # nothing is kept yet
        with pytest.raises(InputError, match="there is no key"):
            check_ready(Keyed(), cache=cache)
    with pytest.raises(InputError, match="there is no key"):
        ask(Keyed(), conversations("a"), cache=tmp_path / "other")

    class Keyed2(Keyed):
        def ready(self):
            pass

    Keyed2.__qualname__ = Keyed.__qualname__  # the same client on a day with a key
    ask(Keyed2(), conversations("a", "b"), cache=tmp_path)
    check_ready(Keyed(), cache=tmp_path)
    asked = ask(Keyed(), conversations("b", "a"), cache=tmp_path)
    assert asked.answers == ("label of b", "label of a") and asked.usage.cached == 2
    with pytest.raises(InputError, match="there is no key"):
        ask(Keyed(), conversations("a", "c"), cache=tmp_path)


def test_a_client_that_nothing_tells_apart_is_refused_a_cache_and_asked_without(tmp_path):
    class Nameless(Alone):
        def identity(self):
            return None

    with pytest.raises(InputError, match="nothing tells the answers of this Nameless"):
        ask(Nameless(), conversations("a"), cache=tmp_path)
    assert ask(Nameless(), conversations("a")).answers == ("label of a",)
