"""A script in place of a language model, for tests and for dry runs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interp_core.errors import InputError, LLMError
from interp_core.plugin import check_fields
from interp_core.results import Usage

from interp_llm.answer import Answer, DryRunError
from interp_llm.clients import Messages
from interp_llm.prices import Prices, check_prices, price_of

BYTES = 4  # of UTF-8 that make a token, roughly: four letters of English, one and a third of Chinese
FRAME = 4  # tokens that a chat template puts around a message, roughly

Script = Mapping[str, Any] | Sequence[Any] | Callable[[Messages], Any]


@dataclass(frozen=True)
class Scripted:
    """A script in place of a language model; without one, a dry run that answers nothing and records what it was asked.

    In a dry run each conversation fails with an error that says so, which no cache keeps. Afterwards `asked` holds what
    would have been sent, and `usage()` what that would cost; the results of the run say the same. Conversations that
    depend on earlier answers do not take place: labels that do not exist are not scored either.

    Args:
        answers: a mapping from the last message of a conversation to its answer, a sequence of the answers in the order
            in which they are asked for, or a function of the conversation. An answer that is an exception is a failed
            call. None for a dry run.
        prices: the price of a million tokens of conversations, and of answers, each at least 0; None if no price is
            wanted.
        answer_tokens: estimated tokens of an answer in a dry run, at least 0.
        asked: not given, but recorded here: the conversations so far, in order.

    Raises:
        InputError: `answers` is none of these, or a price or a number of tokens is not a number of at least 0.

    Examples:
        >>> from interp_llm.asking import ask
        >>> from interp_llm.scripted import Scripted
        >>> dry = Scripted(prices=(1.0, 4.0), answer_tokens=10)
        >>> asked = ask(dry, [[{"role": "user", "content": "Name what apple and pear have in common."}]])
        >>> print(asked.usage)
        1 conversation (a dry run, nothing asked), 14 + 10 tokens, price 5.4e-05
        >>> print(dry.asked[0][0]["content"])
        Name what apple and pear have in common.

    Source:
        By definition; tokens are estimated as four for each message and one for every four bytes of UTF-8.
    """

    answers: Script | None = None
    prices: Prices | None = None
    answer_tokens: int = 64
    asked: list[Messages] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self)
        script = isinstance(self.answers, Mapping | Sequence) and not isinstance(self.answers, str)
        if not (script or callable(self.answers) or self.answers is None):
            raise InputError(
                f"answers is {self.answers!r}; a mapping, a sequence or a function of the conversation was expected, "
                "or None for a dry run."
            )
        check_prices(self.prices)
        if self.answer_tokens < 0:
            raise InputError(f"answer_tokens is {self.answer_tokens}; it must be at least 0.")

    def identity(self) -> dict[str, Any] | None:
        """What the answers depend on: the script, or the name of a function of a module.

        Returns:
            JSON values; None for other functions, such as a lambda or one with arguments bound to it, since no name
            tells two of them apart.
        """
        if callable(self.answers):
            name = _name_of(self.answers)
            return {"client": "scripted", "function": name} if name else None
        script = dict(self.answers) if isinstance(self.answers, Mapping) else self.answers and list(self.answers)
        return {"client": "scripted", "answers": json.loads(json.dumps(script, default=repr))}

    def usage(self) -> Usage:
        """The estimated cost of all that was asked so far."""
        prompt = sum(map(_tokens, self.asked))
        answer = self.answer_tokens * len(self.asked)
        price = price_of(self.prices, prompt, answer)
        dry = self.answers is None
        failed = len(self.asked) * dry
        return Usage(len(self.asked), failed=failed, prompt_tokens=prompt, answer_tokens=answer, price=price, dry=dry)

    def generate(self, messages: Messages) -> str:
        """The answer to one conversation.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": …}`, in order.

        Returns:
            The answer of the script, with the number of its tokens.

        Raises:
            LLMError: this is a dry run, or the script has no answer.
        """
        self.asked.append([dict(one) for one in messages])
        answer = self._scripted(messages)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, prompt_tokens=_tokens(messages), answer_tokens=_size(answer))

    def _scripted(self, messages: Messages) -> Any:
        if self.answers is None:
            return DryRunError(
                "a dry run: nothing was asked.", prompt_tokens=_tokens(messages), answer_tokens=self.answer_tokens
            )
        if callable(self.answers):
            return self.answers(messages)
        last = messages[-1]["content"]
        place: Any = last if isinstance(self.answers, Mapping) else len(self.asked) - 1
        try:
            return self.answers[place]
        except (KeyError, IndexError):
            return LLMError(f"the script has no answer number {len(self.asked)}, to {last[:80]!r}; give it one.")


def _name_of(function: Callable[..., Any]) -> str | None:
    """Where a function is found; None if it is not found under its own name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def _tokens(messages: Messages) -> int:
    return sum(FRAME + _size(one["content"]) for one in messages)


def _size(text: str) -> int:
    return math.ceil(len(text.encode(errors="surrogatepass")) / BYTES)
