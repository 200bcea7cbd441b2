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
from interp_core.plugin import named_options
from interp_core.results import Usage

from interp_llm.answer import Answer, DryRunError
from interp_llm.cache import FILE, Cache, check_folder
from interp_llm.clients import Messages, answers_of, client_of, identity_of
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


def check_ready(llm: Any, *, cache: str | Path | None = None) -> None:
    """For the `ready()` of a method that asks: see, before anything is computed, that it can.

    A client need not be ready, such as for want of a key, where the folder has answers: these may be all that is asked
    for. If they are not, `ask` says so.

    Args:
        llm: as for `ask`.
        cache: as for `ask`.

    Raises:
        InputError: the client or the cache is of the wrong kind, or the client cannot be asked at all, such as for want
            of a key.
        PluginError: the name is unknown, or that of another kind.

    Examples:
        >>> from interp_llm.asking import check_ready
        >>> check_ready("scripted")
    """
    check_folder(cache)
    client = client_of(llm)
    if cache is None or not (Path(cache) / FILE).exists():
        _get_ready(client)


@named_options
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
    One that is neither a dataclass nor has `identity()` is known by its class and its attribute `model` alone. One
    whose `identity()` is None cannot be used with a cache. The cache holds answers, and neither conversations nor keys.
    Its `ready()`, which says whether there is a key, is called only if something has no answer yet.

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
        InputError: the client cannot be asked at all, such as for want of a key; its answers cannot be told from others
            in a cache; a conversation is not a list of messages; an argument is of the wrong kind; or the cache cannot
            be read or written.
        UnsupportedError: the client lacks what it needs.
        LLMError: the client answered to a place that there is not, or gave another number of answers.

    Examples:
        >>> from interp_llm.asking import ask
        >>> from interp_llm.scripted import Scripted
        >>> asked = ask(Scripted({"apple, pear": "fruit"}), [[{"role": "user", "content": "apple, pear"}]])
        >>> asked.answers, asked.usage.failed
        (('fruit',), 0)
    """
    check_folder(cache)
    client = client_of(llm)
    keys = _keys(client, conversations, schema, kept=cache is not None)
    places = {key: place for place, key in reversed(list(enumerate(keys)))}  # of the first conversation of each key
    with nullcontext() if cache is None else Cache(cache) as kept:
        known = {} if kept is None else kept.answers(places)
        wanted = sorted((key for key in places if key not in known), key=places.__getitem__)
        fresh: dict[str, Answer | LLMError] = {}
        if wanted:
            _get_ready(client)
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


def _get_ready(client: Any) -> None:
    if callable(ready := getattr(client, "ready", None)):
        ready()


def _keys(client: Any, conversations: Any, schema: Any, *, kept: bool) -> list[str]:
    """For each conversation, what its answer is kept under."""
    name = type(client).__name__
    if not isinstance(conversations, Sequence) or isinstance(conversations, str):
        raise InputError(f"conversations is {str(conversations)[:80]!r}; a list of conversations was expected.")
    if not isinstance(schema, dict | None):
        raise InputError(f"schema is {str(schema)[:80]!r}; a JSON schema was expected, such as {{'type': 'object'}}.")
    identity = identity_of(client)
    if identity is None and kept:
        raise InputError(
            f"nothing tells the answers of this {name} from those of another one, so they cannot be kept; give "
            "cache=None, or a client that can be told apart, such as a script of a function of a module."
        )
    try:
        asked = json.dumps([identity, schema], sort_keys=True)
    except (TypeError, ValueError) as error:
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
        dry=any(isinstance(one, DryRunError) for one in answers),
    )
