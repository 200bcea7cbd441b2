"""A client for OpenAI and for every server that speaks its chat completions."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import openai
from interp_core.errors import InputError, LLMError
from interp_core.plugin import check_fields
from interp_llm.answer import Answer
from interp_llm.prices import Prices, check_prices

from interp_openai.calls import Call, Server
from interp_openai.settings import check_address, check_variables, query_of

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class OpenAI:
    """A chat model of OpenAI, Azure or a compatible server, asked several requests at once.

    Keys are read from the environment when a call is made. They are stored nowhere, and are removed from all that a
    server says. Timeouts, lost connections and the status codes 408, 409, 429 and 5xx are retried with growing pauses,
    or after the pause that the server asks for, if that is at most two minutes.

    Args:
        model: name of the model at the server; on Azure, the name of the deployment.
        base_url: a compatible server, such as `http://localhost:8000/v1`; None for OpenAI itself (or what the official
            client finds in OPENAI_BASE_URL). A query, such as `?api-version=preview`, is sent with every request.
        key_from: name of the environment variable that holds the key. A server at `base_url` may do without; if the
            variable is set, the key is sent there.
        timeout: seconds for one try, positive.
        retries: further tries after the first, at least 0.
        parallel: number of requests at once, at least 1.
        temperature: 0 for the likeliest answer; None leaves it to the server.
        max_tokens: maximum number of tokens of an answer, at least 1, sent as `max_tokens`, which compatible servers
            know; None leaves it to the server.
        max_completion_tokens: maximum number of tokens of an answer, thoughts included, sent under this name in place
            of `max_tokens`. Reasoning models of OpenAI need it, and `temperature=None`.
        reasoning_effort: how long a reasoning model may think, such as `"low"`.
        seed: random seed of the server's draws, where it takes one.
        api_version: version of Azure's older interface, with `base_url="https://….openai.azure.com"`. Its newer one, at
            `https://….openai.azure.com/openai/v1`, needs none.
        headers_from: headers whose values are secrets: their names, each with the environment variable that holds it.
        extra_headers: further headers. Their values appear in no result.
        extra_body: further parameters of a request, by name. They appear in results, so they must hold no secret.
        prices: the price of a million tokens sent, and of a million received; None if no price is wanted.

    Raises:
        InputError: a value has another type; a number is out of range; `key_from` or a value of `headers_from` is no
            name of a variable; `base_url` is no web address, or has a password or a key in it.

    Examples:
        >>> from interp_openai.client import OpenAI
        >>> OpenAI(model="my-model", base_url="http://localhost:8000/v1").identity()["server"]
        'http://localhost:8000/v1'

    Source:
        OpenAI API reference, "Create chat completion", through the official client.
    """

    model: str = "gpt-4.1-nano"
    base_url: str | None = None
    key_from: str = "OPENAI_API_KEY"
    timeout: float = 60.0
    retries: int = 3
    parallel: int = 4
    temperature: float | None = 0.0
    max_tokens: int | None = 64
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    seed: int | None = None
    api_version: str | None = None
    headers_from: Mapping[str, str] | None = None
    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)
    extra_body: Mapping[str, Any] | None = None
    prices: Prices | None = None

    def __post_init__(self) -> None:
        check_variables(self.key_from, self.headers_from)  # first, as what is no name may be the key
        check_fields(self)
        check_address(self.base_url, self.key_from)
        check_prices(self.prices)
        if self.api_version is not None and self.base_url is None:
            raise InputError(
                f"api_version={self.api_version!r} is for Azure; give its address too, such as "
                "base_url='https://my-resource.openai.azure.com', or leave api_version out."
            )
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        if self.timeout <= 0 or self.retries < 0 or min([self.parallel, *limits]) < 1:
            raise InputError(
                f"{self}: a positive timeout, parallel and most tokens and retries of at least 0 are needed."
            )

    def ready(self) -> None:
        """Check, before anything is asked that no cache knows, that there is a key.

        Raises:
            InputError: OpenAI itself is asked and there is no key, or a variable of `headers_from` is empty.
        """
        self.key()
        self._secret_headers()

    def key(self) -> str:
        """The key that calls are made with; a subclass may take it from elsewhere than the environment.

        Returns:
            The key; empty where the server needs none.

        Raises:
            InputError: OpenAI itself is asked and there is no key.
        """
        key = os.environ.get(self.key_from, "").strip()
        if not key and self.base_url is None and not self.headers_from:
            raise InputError(
                f"the environment variable {self.key_from} is empty; put the key into it, or give base_url."
            )
        return key

    def identity(self) -> dict[str, Any]:
        """What the answers depend on, without any secret; of headers only the names."""
        return {
            "client": "openai",
            "model": self.model,
            "server": self.base_url or os.environ.get("OPENAI_BASE_URL"),
            "api_version": self.api_version,
            "headers": sorted({*(self.headers_from or {}), *(self.extra_headers or {})}),
            **self._options(),
        }

    def generate(self, messages: Messages, *, schema: dict[str, Any] | None = None) -> str:
        """The answer to one conversation.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": …}`, in order.
            schema: a JSON schema of the answer, for servers that support one.

        Returns:
            The text, with the number of its tokens.

        Raises:
            LLMError: the call failed, or what came back is no answer.
            InputError: OpenAI itself is asked and there is no key, or a variable of `headers_from` is empty.
        """
        answer = self.generate_all([messages], schema=schema)[0]
        if isinstance(answer, LLMError):
            raise answer
        return answer

    def generate_all(
        self, conversations: Sequence[Messages], *, schema: dict[str, Any] | None = None
    ) -> list[str | LLMError]:
        """The answers to several conversations, in their order, with an error in the place of a failed call.

        Args:
            conversations: the conversations.
            schema: a JSON schema of the answers, for servers that support one.

        Returns:
            An answer or an error for each conversation.

        Raises:
            InputError: OpenAI itself is asked and there is no key, or a variable of `headers_from` is empty.
        """
        answers = dict(self.generate_each(conversations, schema=schema))
        return [answers[place] for place in range(len(conversations))]

    def generate_each(
        self, conversations: Sequence[Messages], *, schema: dict[str, Any] | None = None
    ) -> Generator[tuple[int, Answer | LLMError], None, None]:
        """The answers to several conversations as they arrive, each with the number of its conversation.

        Args:
            conversations: the conversations.
            schema: a JSON schema of the answers. A server that refuses it is asked without.

        Yields:
            The number of a conversation, and its answer or the error of a failed call.

        Raises:
            InputError: OpenAI itself is asked and there is no key, or a variable of `headers_from` is empty.
        """
        yield from self.call_each(lambda client, server: Call(client, server, self._options(), schema), conversations)

    def call_each(
        self, call_of: Callable[[openai.OpenAI, Server], Callable[[Any], Answer | LLMError]], asked: Sequence[Any]
    ) -> Generator[tuple[int, Answer | LLMError], None, None]:
        """The results of calls to any endpoint, `parallel` at a time, each with the number of what it asks.

        Args:
            call_of: makes, from the official client and what messages may name, the function that makes one call. The
                function runs on several threads, and returns an error rather than raising it.
            asked: what is asked.

        Yields:
            The number of what is asked, and what the function returns.

        Raises:
            InputError: OpenAI itself is asked and there is no key, or a variable of `headers_from` is empty.
        """
        key, headers = self.key(), self._secret_headers()
        client = self._client(key, headers)
        server = Server(
            self.base_url or "OpenAI", self.model, self.key_from, self.timeout, self.retries + 1
        ).with_secrets([key, *headers.values()], (self.extra_headers or {}).values())
        call = call_of(client, server)
        pool = ThreadPoolExecutor(self.parallel)
        try:
            places = {pool.submit(call, one): place for place, one in enumerate(asked)}
            for done in as_completed(places):
                yield places[done], done.result()
        finally:  # an interrupt waits for nothing: calls not begun are dropped, those under way lose their connection
            pool.shutdown(wait=False, cancel_futures=True)
            client.close()

    def _options(self) -> dict[str, Any]:
        limit = "max_completion_tokens" if self.max_completion_tokens is not None else "max_tokens"
        given = {
            "model": self.model,
            "temperature": self.temperature,
            limit: getattr(self, limit),
            "reasoning_effort": self.reasoning_effort,
            "seed": self.seed,
            "extra_body": dict(self.extra_body) if self.extra_body else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _secret_headers(self) -> dict[str, str]:
        headers = {name: os.environ.get(variable, "").strip() for name, variable in (self.headers_from or {}).items()}
        for name, value in headers.items():
            if not value:
                variable = (self.headers_from or {})[name]
                raise InputError(
                    f"the environment variable {variable} is empty; put the value of the header {name} into it."
                )
        return headers

    def _client(self, key: str, secret_headers: dict[str, str]) -> openai.OpenAI:
        address, query = query_of(self.base_url)
        options: dict[str, Any] = {
            "api_key": key or "none",
            "timeout": self.timeout,
            "max_retries": self.retries,
            "default_headers": {**(self.extra_headers or {}), **secret_headers},
            "default_query": query,
        }
        if self.api_version is None:
            return openai.OpenAI(base_url=address, **options)
        options["base_url" if "/openai" in str(address) else "azure_endpoint"] = address
        return openai.AzureOpenAI(api_version=self.api_version, **options)
