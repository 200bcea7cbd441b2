"""A client for OpenAI and for every server that speaks its chat completions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import openai
from interp_core.errors import InputError, LLMError

SHOWN = 200  # characters of what a server said
SECRET = 6  # characters; a shorter key ("none", "EMPTY") is a placeholder, and hiding it would garble answers
PREFIX = 8  # characters by which a half masked key ("sk-proj-1234****89") is known


@dataclass(frozen=True)
class OpenAI:
    """Asks a chat model, several requests at once.

    The key is read from the environment when a call is made. It is kept nowhere, and is taken out of whatever a server
    says. Timeouts, lost connections and answers 408, 409, 429 and 5xx are tried again with growing pauses, or after the
    pause the server asks for.

    Args:
        model: its name at the server.
        base_url: a compatible server, such as `http://localhost:8000/v1`; None for OpenAI itself (or what the official
            client finds in OPENAI_BASE_URL).
        key_from: name of the environment variable that holds the key. A server at `base_url` may do without; if the
            variable is set, the key is sent there.
        timeout: seconds for one try.
        retries: further tries after the first.
        parallel: requests at once.
        temperature: 0 for the likeliest answer; None leaves it to the server.
        max_tokens: longest answer, sent as `max_tokens`, which compatible servers know. Reasoning models of OpenAI
            refuse it, and a temperature: give None for both.

    Raises:
        InputError: a number out of range, a `key_from` that is no name of a variable, or a `base_url` that is no web
            address or has a password in it.

    Source: OpenAI API reference, "Create chat completion", through the official client.
    """

    model: str = "gpt-4.1-nano"
    base_url: str | None = None
    key_from: str = "OPENAI_API_KEY"
    timeout: float = 60.0
    retries: int = 3
    parallel: int = 4
    temperature: float | None = 0.0
    max_tokens: int | None = 64

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_from):  # likely the key itself, so it is not repeated
            raise InputError(
                "key_from must be the name of an environment variable in capitals, such as OPENAI_API_KEY."
            )
        address = urlsplit(self.base_url or "http://localhost")
        if address.scheme not in ("http", "https") or not address.netloc:
            raise InputError(f"base_url {self.base_url!r} is not a web address, such as http://localhost:8000/v1.")
        if "@" in address.netloc:
            raise InputError(f"base_url must hold no user or password; put the key into the variable {self.key_from}.")
        tokens = 1 if self.max_tokens is None else self.max_tokens
        if self.timeout <= 0 or self.retries < 0 or min(self.parallel, tokens) < 1:
            raise InputError(
                f"{self}: a positive timeout, parallel and max_tokens and retries of at least 0 are needed."
            )

    def ready(self) -> None:
        """Called before anything is computed for the calls.

        Raises:
            InputError: OpenAI itself is asked and there is no key.
        """
        self.key()

    def key(self) -> str:
        """The key that calls are made with; a subclass may have it from elsewhere than the environment.

        Raises:
            InputError: OpenAI itself is asked and there is no key.
        """
        key = os.environ.get(self.key_from, "").strip()
        if not key and self.base_url is None:
            raise InputError(
                f"the environment variable {self.key_from} is empty; put the key into it, or give base_url."
            )
        return key

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The answer to one conversation.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": …}`, in order.

        Raises:
            LLMError: the call failed, or the answer is empty.
            InputError: OpenAI itself is asked and there is no key.
        """
        answer = self.generate_all([messages])[0]
        if isinstance(answer, LLMError):
            raise answer
        return answer

    def generate_all(self, conversations: Sequence[list[dict[str, str]]]) -> list[str | LLMError]:
        """The answers to several conversations, in their order; the error of a failed call stands in its place.

        Raises:
            InputError: OpenAI itself is asked and there is no key.
        """
        key = self.key()
        client = openai.OpenAI(
            api_key=key or "none", base_url=self.base_url, timeout=self.timeout, max_retries=self.retries
        )
        pool = ThreadPoolExecutor(self.parallel)
        try:
            return list(pool.map(partial(self._ask, client, key), conversations))
        finally:  # an interrupt waits for nothing: calls not begun are dropped, those under way lose their connection
            pool.shutdown(wait=False, cancel_futures=True)
            client.close()

    def _ask(self, client: openai.OpenAI, key: str, messages: Any) -> str | LLMError:
        options: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        given = {name: value for name, value in options.items() if value is not None}
        try:
            choice = client.chat.completions.create(model=self.model, messages=messages, **given).choices[0]
            answer = scrubbed(choice.message.content or "", key).strip()
        except Exception as error:  # whatever one call meets, the others go on
            return LLMError(self._explained(error, key))
        if not answer:
            advice = "raise max_tokens" if choice.finish_reason == "length" else "try again, or another model"
            return LLMError(f"empty answer from {self.model!r}; {advice}.")
        return answer

    def _explained(self, error: Exception, key: str) -> str:
        server = self.base_url or "OpenAI"
        if isinstance(error, openai.APIStatusError):
            said = shortened(scrubbed(_said(error), key))
            return f"{server} answered {error.status_code}: {said} {self._advice(error.status_code)}"
        if isinstance(error, openai.APITimeoutError):
            tries = f"{self.retries + 1} tries of {self.timeout:g} s each"
            return f"{server} gave no answer in {tries}; raise timeout, or lower parallel."
        reason = shortened(scrubbed(f"{type(error).__name__}: {error.__cause__ or error}", key))
        if isinstance(error, openai.APIConnectionError):
            return f"{server} cannot be reached ({reason}); check base_url, and that the server is running."
        return f"{server} sent something that is no chat completion ({reason}); check base_url, most end in /v1."

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"(Check the key in {self.key_from}, and what it is allowed to do.)"
        if status == 404:
            return f"(Check the model, {self.model!r}, and base_url.)"
        if status == 429:
            return f"(Tried {self.retries + 1} times; lower parallel, raise retries, or look at the quota.)"
        if status >= 500:
            return f"(Tried {self.retries + 1} times; the server is at fault, try again later.)"
        return "(The server refused the request; a shorter prompt, or max_tokens=None and temperature=None, may help.)"


def scrubbed(text: str, key: str) -> str:
    """The text without the key, whole or half masked by the server."""
    if len(key) < SECRET:
        return text
    return re.sub(re.escape(key[:PREFIX]) + r"[^\s\"'<>,;)}\]]*", "[key]", text.replace(key, "[key]"))


def shortened(text: str) -> str:
    """The text on one line, of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _said(error: openai.APIStatusError) -> str:
    """The server's own words, wherever it put them."""
    body = error.body
    found = (body.get("message") or body.get("detail")) if isinstance(body, dict) else None
    return str(found or error.response.text or error.response.reason_phrase)
