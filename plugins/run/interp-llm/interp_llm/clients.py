"""What a client of a language model is asked for: who it is, and answers as they come."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from interp_core.errors import InputError, LLMError, UnsupportedError
from interp_core.plugin import check_fields, method
from interp_core.results import parameters_of

from interp_llm.answer import Answer
from interp_llm.prices import check_prices

Messages = list[dict[str, str]]
WAYS = ("generate_each", "generate_all", "generate")  # of asking, the best first
WITHOUT_INFLUENCE = ("timeout", "retries", "parallel", "prices", "batch_size", "device", "key_from", "headers_from")


def client_of(llm: Any) -> Any:
    """The client that a caller gives as `llm=`. It is not asked whether it is ready: a cache may know all answers.

    Args:
        llm: the name of a method of kind `llm`, or an object with `generate(messages)`.

    Raises:
        InputError: it cannot be asked, a field has a value of another type, or `prices` is not a pair of prices.
        PluginError: the name is unknown, or that of another kind.

    Examples:
        >>> from interp_llm.clients import client_of
        >>> client_of("scripted")
        Scripted(answers=None, prices=None, answer_tokens=64)
    """
    client = method(llm, "llm") if isinstance(llm, str) else llm
    if isinstance(client, type):
        raise InputError(f"llm={client.__name__} is a class; give an instance, such as llm={client.__name__}().")
    if not any(callable(getattr(client, name, None)) for name in WAYS):
        raise InputError(
            f"{type(client).__name__} has no generate(messages), so it cannot be asked; give the name of a method of "
            "kind 'llm', such as 'openai', or an object that has one."
        )
    check_fields(client)
    check_prices(getattr(client, "prices", None))
    return client


def identity_of(client: Any) -> Any:
    """What tells the answers of one client from those of another, as a JSON value.

    Args:
        client: a method of kind `llm`, or an object like one.

    Returns:
        What its `identity()` says, if it has one; None if nothing tells its answers from those of others. Otherwise
        its class, and of a dataclass the parameters that are shown by `repr`, without those that change no answer, such
        as `parallel`; of another object its attribute `model`, if that is a string.

    Examples:
        >>> from interp_llm.clients import identity_of
        >>> from interp_llm.scripted import Scripted
        >>> identity_of(Scripted(["yes"]))
        {'client': 'scripted', 'answers': ['yes']}
    """
    if callable(own := getattr(client, "identity", None)):
        return own()
    parameters = {n: v for n, v in parameters_of(client).items() if n not in WITHOUT_INFLUENCE}
    model = getattr(client, "model", None)
    named = {"model": model} if isinstance(model, str) else {}
    return {"client": f"{type(client).__module__}:{type(client).__qualname__}", **named, **parameters}


def answers_of(
    client: Any, conversations: Sequence[Messages], schema: dict[str, Any] | None
) -> Generator[tuple[int, Answer | LLMError], None, None]:
    """The answers of a client as they come, each with the place of its conversation.

    Args:
        client: an object with `generate`; its `generate_each`, or else its `generate_all`, is called if it has one.
        conversations: what it is asked. It is handed copies.
        schema: a JSON schema, for a client that takes one.

    Yields:
        A place and an answer, or an error where there is none. What the client raises is the error of all places that
        it has not answered.

    Raises:
        InputError: the client cannot be asked at all.
        UnsupportedError: it lacks what it would need.
        LLMError: the client answered to a place that there is not, or gave another number of answers.
    """
    if not conversations:
        return
    left = dict.fromkeys(range(len(conversations)))
    ask = _way_of_asking(client, schema)
    copies = [[dict(message) for message in conversation] for conversation in conversations]
    try:
        for place, said in ask(copies):
            if place not in range(len(conversations)):
                raise _BrokenClientError(
                    f"{type(client).__name__} answered to place {place!r} of {len(conversations)}."
                )
            if place in left:
                del left[place]
                yield place, _checked(said)
        failure = LLMError(f"{type(client).__name__} gave no answer.")
    except (InputError, UnsupportedError, _BrokenClientError):  # the next call would fail alike
        raise
    except Exception as error:  # a client of the user's may raise anything, and the answers so far are worth keeping
        failure = _as_llm_error(error)
    for place in left:
        yield place, failure


class _BrokenClientError(LLMError):
    """A client that does not keep its promises."""


def _way_of_asking(client: Any, schema: dict[str, Any] | None) -> Callable[[list[Messages]], Iterable[tuple[int, Any]]]:
    if callable(each := getattr(client, "generate_each", None)):
        return lambda conversations: each(conversations, **_options(each, schema))
    if callable(together := getattr(client, "generate_all", None)):
        return lambda conversations: _all_at_once(together, conversations, _options(together, schema))
    return lambda conversations: enumerate(_tried(client.generate, messages) for messages in conversations)


def _options(ask: Callable[..., Any], schema: dict[str, Any] | None) -> dict[str, Any]:
    if schema is None:
        return {}
    parameters = inspect.signature(ask).parameters.values()
    takes = any(p.name == "schema" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    return {"schema": schema} if takes else {}


def _all_at_once(
    together: Callable[..., Any], conversations: list[Messages], options: dict[str, Any]
) -> Iterator[tuple[int, Any]]:
    answers = list(together(conversations, **options))
    if len(answers) != len(conversations):
        raise _BrokenClientError(f"generate_all gave {len(answers)} answers to {len(conversations)} conversations.")
    yield from enumerate(answers)


def _tried(alone: Callable[[Messages], Any], messages: Messages) -> Any:
    try:
        return alone(messages)
    except (InputError, UnsupportedError):
        raise
    except Exception as error:
        return _as_llm_error(error)


def _checked(said: Any) -> Answer | LLMError:
    if isinstance(said, Answer | LLMError):
        return said
    if isinstance(said, str):
        return Answer(said)
    if isinstance(said, Exception):
        return _as_llm_error(said)
    return LLMError(f"the client answered with {type(said).__name__}, where a text was expected.")


def _as_llm_error(error: Exception) -> LLMError:
    return error if isinstance(error, LLMError) else LLMError(f"{type(error).__name__}: {error}")
