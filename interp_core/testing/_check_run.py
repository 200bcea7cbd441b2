"""Checks of language models and executors, without a network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from interp_core.errors import LLMError
from interp_core.plugin import Method
from interp_core.testing._calls import Asked, observed
from interp_core.testing._check import Applies, Check
from interp_core.testing._shard_work import noted

SHARDS = 64  # many, for executors that work on a few at a time


def _asked(method: Method, instance: Any) -> Asked:
    """What the model was asked; nothing if it cannot be asked here."""
    asked: Asked | None = observed(method, instance).result
    return asked or Asked([], [], None, (None, None))


def answers_are_texts(method: Method, instance: Any) -> None:
    """Each conversation has one answer, which is a text that says something; what fails is an LLMError."""
    alone, together, _, _ = _asked(method, instance)
    assert len(together) == len(alone), f"generate_all gave {len(together)} answers to {len(alone)} conversations"
    for answer in (*alone, *together):
        said = (isinstance(answer, str) and answer.strip()) or isinstance(answer, LLMError)
        assert said, f"an answer is {answer!r}; a text, or an LLMError, was expected"


def answers_are_in_order(method: Method, instance: Any) -> None:
    """A conversation has the same answer alone and at its place among others, if its answers repeat at all."""
    alone, together, coming, _ = _asked(method, instance)
    assert coming is None or sorted(place for place, _ in coming) == list(range(len(alone))), (
        f"generate_each answered to places {[place for place, _ in coming]}, each of {len(alone)} once was expected"
    )
    first, again = alone[:6], alone[12:]  # of the same six conversations
    if first != again:
        return
    wrong = [i for i, (one, other) in enumerate(zip(alone, together, strict=False)) if one != other]
    assert not wrong, f"generate_all gave {together[wrong[0]]!r} at place {wrong[0]}, where {alone[wrong[0]]!r} belongs"
    astray = [(place, answer) for place, answer in coming or () if answer != alone[place]]
    assert not astray, f"generate_each gave {astray[0][1]!r} at place {astray[0][0]}"


def answers_depend_on_the_question(method: Method, instance: Any) -> None:
    """Conversations that ask for different words do not all have one answer."""
    alone = _asked(method, instance).alone
    assert not alone or len(set(map(str, alone))) > 1, f"all {len(alone)} conversations got the answer {alone[0]!r}"


def identity_is_kept(method: Method, instance: Any) -> None:
    """What `identity()` says, by which answers on disk are known, is a JSON value, and the same after the model was
    asked.
    """
    before, after = _asked(method, instance).identities
    try:
        written = json.dumps(before, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"identity() gave {before!r}, which is not a JSON value: {error}") from None
    assert written == json.dumps(after, sort_keys=True), f"identity() was {before!r}, and after the calls {after!r}"


def results_are_in_order(_method: Method, instance: Any) -> None:
    """Each shard is worked on once, and its result is at its place, for none, one or seventeen shards."""
    for count in (0, 1, 17):
        shards = [shard for shard in range(count + 1) if shard != 7][:count]
        with tempfile.TemporaryDirectory() as folder:
            results = list(instance.map(partial(noted, Path(folder)), iter(shards)))
            calls = sum(1 for _ in Path(folder).iterdir())
        assert results == [10 * shard for shard in shards], f"{count} shards gave {results}"
        assert calls == len(shards), f"{count} shards were worked on {calls} times"


def errors_are_passed_on(_method: Method, instance: Any) -> None:
    """An error of the work reaches the caller."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            results = list(instance.map(partial(noted, Path(folder)), [6, 7, 8]))
        except Exception:
            return
    raise AssertionError(f"the work on one of three shards failed, and map returned {results}")


def shards_are_drawn_as_they_are_worked_on(_method: Method, instance: Any) -> None:
    """With the first result, most of many shards have not been drawn, so that a stream of any length can be given."""
    drawn = 0

    def counted() -> Iterator[int]:
        nonlocal drawn
        for _ in range(SHARDS):
            drawn += 1
            yield 1

    with tempfile.TemporaryDirectory() as folder:
        results = iter(instance.map(partial(noted, Path(folder)), counted()))
        first, before = next(results), drawn
        left = sum(1 for _ in results)
    assert first == 10 and left == SHARDS - 1, f"{SHARDS} shards gave {left + 1} results"
    assert before < SHARDS // 2, f"{before} of {SHARDS} shards had been drawn when the first result came"


def _of(kind: str) -> Applies:
    return lambda method: method.kind == kind


CHECKS = (
    Check(
        "each conversation has an answer",
        "Return a text; from generate_all one for each conversation, with an LLMError where a call failed.",
        _of("llm"),
        answers_are_texts,
    ),
    Check(
        "answers are in the order of the questions",
        "Keep the order of the conversations, whichever call comes back first; generate_each yields each place once.",
        _of("llm"),
        answers_are_in_order,
    ),
    Check(
        "another question gets another answer",
        "Send the messages, the last one included.",
        _of("llm"),
        answers_depend_on_the_question,
    ),
    Check(
        "what tells its answers from others stays the same",
        "Return from identity() what the answers depend on, such as the model and its parameters, as a JSON value.",
        _of("llm"),
        identity_is_kept,
    ),
    Check(
        "results are in the order of the shards",
        "Work on each shard once, also where they come from a generator, and sort what comes back early.",
        _of("executor"),
        results_are_in_order,
    ),
    Check(
        "shards are drawn as they are worked on",
        "Return an iterator of results, and draw a shard when a worker is free: a corpus may not fit into memory.",
        _of("executor"),
        shards_are_drawn_as_they_are_worked_on,
    ),
    Check(
        "errors of the work reach the caller",
        "Raise what the work raised; leave no result out.",
        _of("executor"),
        errors_are_passed_on,
    ),
)
