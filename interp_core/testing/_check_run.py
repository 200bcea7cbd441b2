"""Checks of language models and executors. Nothing but this machine is reached."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from interp_core.errors import LLMError
from interp_core.plugin import Method
from interp_core.testing._calls import observed
from interp_core.testing._check import Applies, Check
from interp_core.testing._sound_methods import noted


def _answers(method: Method, instance: Any) -> tuple[list[Any], list[Any]] | None:
    """The answers to each conversation alone and to all together; None if the model cannot be asked here."""
    answers: tuple[list[Any], list[Any]] | None = observed(method, instance).result
    return answers


def answers_are_texts(method: Method, instance: Any) -> None:
    """Each conversation has one answer, which is a text that says something; what fails is an LLMError."""
    alone, together = _answers(method, instance) or ([], [])
    assert len(together) == len(alone), f"generate_all gave {len(together)} answers to {len(alone)} conversations"
    for answer in (*alone, *together):
        said = (isinstance(answer, str) and answer.strip()) or isinstance(answer, LLMError)
        assert said, f"an answer is {answer!r}; a text, or an LLMError, was expected"


def answers_are_in_order(method: Method, instance: Any) -> None:
    """A conversation has the same answer alone and at its place among others, if its answers repeat at all."""
    alone, together = _answers(method, instance) or ([], [])
    first, again = alone[:6], alone[12:]  # of the same six conversations
    if first != again:
        return
    wrong = [i for i, (one, other) in enumerate(zip(alone, together, strict=False)) if one != other]
    assert not wrong, f"generate_all gave {together[wrong[0]]!r} at place {wrong[0]}, where {alone[wrong[0]]!r} belongs"


def answers_depend_on_the_question(method: Method, instance: Any) -> None:
    """Conversations that ask for different words do not all have one answer."""
    alone, _ = _answers(method, instance) or ([], [])
    assert not alone or len(set(map(str, alone))) > 1, f"all {len(alone)} conversations got the answer {alone[0]!r}"


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
        "Keep the order of the conversations, whichever call comes back first.",
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
        "results are in the order of the shards",
        "Work on each shard once, also where they come from a generator, and sort what comes back early.",
        _of("executor"),
        results_are_in_order,
    ),
    Check(
        "errors of the work reach the caller",
        "Raise what the work raised; leave no result out.",
        _of("executor"),
        errors_are_passed_on,
    ),
)
