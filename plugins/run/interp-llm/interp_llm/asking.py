"""Asks a language model many conversations: each once, the answers kept on disk, their cost counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.display import progress_bar, progress_shown
from interp_core.errors import InputError, LLMError
from interp_core.plugin import resolve
from interp_core.results import Usage

from interp_llm.answer import Answer
from interp_llm.cache import Cache
from interp_llm.clients import Messages, answers_of, identity_of
from interp_llm.prices import Prices, price_of


@dataclass(frozen=True)
class Asked:
    """What a language model said to several conversations.

    Args:
        answers: for each conversation, in their order, its answer, or the error that says why there is none.
        usage: what it took. Equal conversations count each; their tokens, and the price, count once.

    Examples:
        >>> from interp_core.results import Usage
        >>> from interp_llm.asking import Asked
        >>> Asked((), Usage()).answers
        ()
    """

    answers: tuple[Answer | LLMError, ...]
    usage: Usage


def ask(
    llm: Any,
    conversations: Sequence[Messages],
    *,
    cache: str | Path | None = None,
    schema: dict[str, Any] | None = None,
    progress: bool = True,
) -> Asked:
    """Ask a language model several conversations; equal ones are asked once.

    An answer is put into the cache the moment it arrives, so that a run that dies, or in which calls fail, can be
    repeated and then asks only what has no answer yet. A kept answer is that of the same conversation, schema and
    client: what the client's `identity()` returns, or else its class and those of its parameters that change answers.
    One that is neither a dataclass nor has `identity()` is known by its class and its attribute `model` alone. The
    cache holds answers, and neither conversations nor keys.

    Args:
        llm: the name of a method of kind `llm`, or an object with `generate(messages)`. Its
            `generate_each(conversations)`, which gives pairs of a place and an answer as they come, is used if it has
            one, or else its `generate_all`. Its attribute `prices` is what a million tokens of conversations and of
            answers cost.
        conversations: each a list of `{"role": …, "content": …}`.
        cache: folder of the cache, made if it is missing; None for none. Several processes may use it at once.
        schema: a JSON schema of the answers, for clients whose `generate_each` or `generate_all` has an argument
            `schema`. Others are asked without it, so the conversation must say what is expected.
        progress: False for no progress bar.

    Returns:
        Answers and failures, and what was used.

    Raises:
        InputError: the client cannot be asked at all, a conversation is not a list of messages, or the cache cannot be
            read or written.
        UnsupportedError: the client lacks what it needs.
        LLMError: the client answered to a place that there is not, or gave another number of answers.

    Examples:
        >>> from interp_llm.asking import ask
        >>> from interp_llm.scripted import Scripted
        >>> asked = ask(Scripted({"apple, pear": "fruit"}), [[{"role": "user", "content": "apple, pear"}]])
        >>> asked.answers, asked.usage.failed
        (('fruit',), 0)
    """
    client = resolve(llm, "llm") if isinstance(llm, str) else llm
    keys = _keys(client, conversations, schema)
    places = {key: place for place, key in reversed(list(enumerate(keys)))}  # of the first conversation of each key
    with nullcontext() if cache is None else Cache(cache) as kept:
        known = {} if kept is None else kept.answers(places)
        wanted = sorted((key for key in places if key not in known), key=places.__getitem__)
        fresh: dict[str, Answer | LLMError] = {}
        coming = answers_of(client, [conversations[places[key]] for key in wanted], schema)
        shown = progress_shown(progress)
        with shown, closing(coming), progress_bar(None, "asking", total=len(wanted), unit="answer") as bar:
            for number, answer in coming:
                fresh[wanted[number]] = answer
                if kept is not None and isinstance(answer, Answer) and answer.strip():
                    kept.keep(wanted[number], answer)
                bar.update()
    answers = tuple({**known, **fresh}[key] for key in keys)
    return Asked(answers, _usage(answers, fresh.values(), getattr(client, "prices", None)))


def _keys(client: Any, conversations: Sequence[Messages], schema: dict[str, Any] | None) -> list[str]:
    """For each conversation, what its answer is kept under."""
    try:
        asked = json.dumps([identity_of(client), schema], sort_keys=True)
    except (TypeError, ValueError) as error:
        name = type(client).__name__
        raise InputError(f"the schema, or what identity() of {name} gives, is not a JSON value: {error}.") from None
    return [
        hashlib.sha256(f"{asked}\n{_written(place, messages)}".encode()).hexdigest()
        for place, messages in enumerate(conversations)
    ]


def _written(place: int, messages: Any) -> str:
    sound = isinstance(messages, Sequence) and all(
        isinstance(one, Mapping) and isinstance(one.get("role"), str) and "content" in one for one in messages
    )
    try:
        if sound and messages:
            return json.dumps([dict(one) for one in messages], sort_keys=True)
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"conversation {place} is {str(messages)[:80]!r}; a list of messages was expected, such as "
        '[{"role": "user", "content": "Name a colour."}].'
    )


def _usage(answers: Sequence[Answer | LLMError], fresh: Iterable[Answer | LLMError], prices: Prices | None) -> Usage:
    fresh = list(fresh)
    prompt = sum(getattr(one, "prompt_tokens", None) or 0 for one in fresh)
    answer = sum(getattr(one, "answer_tokens", None) or 0 for one in fresh)
    return Usage(
        conversations=len(answers),
        cached=sum(isinstance(one, Answer) and one.cached for one in answers),
        failed=sum(isinstance(one, LLMError) for one in answers),
        prompt_tokens=prompt,
        answer_tokens=answer,
        price=price_of(prices, prompt, answer),
    )
