"""One call of a server: an answer, or in words why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import openai
from interp_core.errors import LLMError
from interp_llm.answer import Answer, UnusableError

SHOWN = 200  # characters of what a server said
SECRET = 6  # characters; a shorter key ("none", "EMPTY") is a placeholder, and hiding it would garble answers
PREFIX = 8  # characters by which a half masked key ("sk-proj-1234****89") is known
FILTERED = ("content_filter", "content_policy_violation")
NOT_UNDERSTOOD = (400, 422)  # what servers answer to a form of answers that they do not offer


@dataclass(frozen=True)
class Server:
    """What messages name of a server, and what they must not.

    Args:
        name: what it is called.
        model: the model that is asked.
        key_from: the variable with the key.
        timeout: seconds for one try.
        tries: how many.
        secrets: what is taken out of answers and messages.
        private: what is taken out of messages alone: values of headers that may be secrets, or common words.
    """

    name: str
    model: str
    key_from: str
    timeout: float
    tries: int
    secrets: tuple[str, ...] = ()
    private: tuple[str, ...] = ()

    def with_secrets(self, secrets: Iterable[str], private: Iterable[str]) -> Server:
        """The same with what it must not name; of `Bearer …` that is what follows."""
        return replace(
            self,
            secrets=tuple(value.split()[-1] for value in secrets if value),
            private=tuple(value.split()[-1] for value in private if value.strip()),
        )

    def quoted(self, text: str) -> str:
        """What the server said, for a message: on one line, not long, without secrets."""
        return shortened(scrubbed(text, (*self.secrets, *self.private)))


class Call:
    """Asks one conversation after another, from several threads.

    Args:
        client: the official client.
        server: what messages name.
        options: what is sent beside the messages.
        schema: a JSON schema of the answers. Once the server has answered without it what it had refused with it, it is
            sent no more.
    """

    def __init__(
        self, client: openai.OpenAI, server: Server, options: dict[str, Any], schema: dict[str, Any] | None
    ) -> None:
        self.client, self.server, self.options = client, server, options
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        self.form = {} if schema is None else {"response_format": form}

    def __call__(self, messages: Any) -> Answer | LLMError:
        """The answer, or the error that says why there is none."""
        try:
            return self._read(self._sent(messages))
        except Exception as error:  # whatever one call meets, the others go on
            return LLMError(explained(error, self.server))

    def _sent(self, messages: Any) -> Any:
        create: Any = self.client.chat.completions.create
        form = self.form
        try:
            return create(messages=messages, **self.options, **form)
        except openai.APIStatusError as error:
            if not form or error.status_code not in NOT_UNDERSTOOD or _filtered(error):
                raise
        completion = create(messages=messages, **self.options)
        self.form = {}
        return completion

    def _read(self, completion: Any) -> Answer | LLMError:
        choice, usage, server = completion.choices[0], completion.usage, self.server
        tokens: dict[str, Any] = {
            "prompt_tokens": getattr(usage, "prompt_tokens", None),
            "answer_tokens": getattr(usage, "completion_tokens", None),
        }
        reason, refusal = choice.finish_reason or "", getattr(choice.message, "refusal", None)
        text = scrubbed(choice.message.content or "", server.secrets).strip()
        if reason in FILTERED:
            return UnusableError(_blocked(server), **tokens)
        if refusal:
            return UnusableError(f"the model {server.model!r} refused: {server.quoted(refusal)}", **tokens)
        if not text:
            advice = (
                "raise max_tokens, or max_completion_tokens" if reason == "length" else "try again, or another model"
            )
            return UnusableError(f"empty answer from {server.model!r}; {advice}.", **tokens)
        return Answer(text, finish_reason=reason, **tokens)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without secrets, whole or half masked by the server."""
    for secret in secrets:
        if len(secret) >= SECRET:
            masked = re.escape(secret[:PREFIX]) + r"[^\s\"'<>,;)}\]]*"
            text = re.sub(masked, "[key]", text.replace(secret, "[key]"))
    return text


def shortened(text: str) -> str:
    """The text on one line, of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def explained(error: Exception, server: Server, expected: str = "chat completion") -> str:
    """What went wrong with a call, and what to do.

    Args:
        error: what the official client raised.
        server: what may be named, and what must not.
        expected: what the server was asked for.

    Examples:
        >>> from interp_openai.calls import Server, explained
        >>> explained(ValueError("half a line"), Server("server", "my-model", "MY_KEY", 5.0, 1))
        'server sent something that is no chat completion (ValueError: half a line); check base_url, most end in /v1.'
    """
    if isinstance(error, openai.APIStatusError):
        if _filtered(error):
            return _blocked(server)
        said = server.quoted(_said(error))
        return f"{server.name} answered {error.status_code}: {said} {_advice(error.status_code, server)}"
    if isinstance(error, openai.APITimeoutError):
        tries = f"{server.tries} tries of {server.timeout:g} s each"
        return f"{server.name} gave no answer in {tries}; raise timeout, or lower parallel."
    reason = server.quoted(f"{type(error).__name__}: {error.__cause__ or error}")
    if isinstance(error, openai.APIConnectionError):
        return f"{server.name} cannot be reached ({reason}); check base_url, and that the server is running."
    return f"{server.name} sent something that is no {expected} ({reason}); check base_url, most end in /v1."


def _advice(status: int, server: Server) -> str:
    if status in (401, 403):
        return f"(Check the key in {server.key_from}, and what it is allowed to do.)"
    if status == 404:
        return f"(Check the model, {server.model!r}, and base_url.)"
    if status == 429:
        return f"(Tried {server.tries} times; lower parallel, raise retries, or look at the quota.)"
    if status >= 500:
        return f"(Tried {server.tries} times; the server is at fault, try again later.)"
    return (
        "(The server refused the request; a shorter prompt, or temperature=None with max_tokens=None or with "
        "max_completion_tokens, may help.)"
    )


def _blocked(server: Server) -> str:
    return f"refused by the content filter of {server.name}; try another model, or leave such texts out."


def _filtered(error: openai.APIStatusError) -> bool:
    return error.code in FILTERED


def _said(error: openai.APIStatusError) -> str:
    """The server's own words, wherever it put them."""
    body = error.body
    found = (body.get("message") or body.get("detail")) if isinstance(body, dict) else None
    return str(found or error.response.text or error.response.reason_phrase)
