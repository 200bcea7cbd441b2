"""The client of a completions server: prompts in, the log-probabilities of their tokens out."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import openai
from interp_core.errors import LLMError, UnsupportedError
from interp_llm.answer import Answer
from interp_llm.prices import Prices
from interp_openai.calls import Server, explained, scrubbed
from interp_openai.client import OpenAI

from interp_remote.meter import Meter, OverBudgetError
from interp_remote.reply import kept, plain

REFUSED = re.compile(r"\becho\b|log_?prob", re.IGNORECASE)
Asked = list[dict[str, Any]]


def asking(prompt: str, write: int = 0) -> Asked:
    """What is asked of a server, as `interp_llm.asking` takes it.

    Args:
        prompt: the prompt.
        write: how many tokens the server is to write after it; 0 for the log-probabilities of the prompt.

    Examples:
        >>> from interp_remote.completions import asking
        >>> asking("so happy")
        [{'role': 'prompt', 'content': 'so happy', 'write': 0}]
    """
    return [{"role": "prompt", "content": prompt, "write": write}]


@dataclass(frozen=True)
class Completions:
    """Asks a server of completions, several requests at once.

    Args:
        server: the model, where it is, and how it is called.
        meter: what was asked, and the limits on it.

    Examples:
        >>> from interp_openai.client import OpenAI
        >>> from interp_remote.completions import Completions
        >>> from interp_remote.meter import Meter
        >>> Completions(OpenAI("my-model", base_url="http://localhost:8000/v1"), Meter()).identity()["model"]
        'my-model'
    """

    server: OpenAI
    meter: Meter

    @property
    def prices(self) -> Prices | None:
        """What a million tokens sent, and a million received, cost."""
        return self.server.prices

    def identity(self) -> dict[str, Any]:
        """What its answers depend on, without any secret."""
        return {**self.server.identity(), "client": "completions with echo and logprobs"}

    def ready(self) -> None:
        """Called before anything is asked that no cache knows.

        Raises:
            InputError: a variable that should hold a secret is empty.
        """
        self.server.ready()

    def generate_each(self, asked: Sequence[Asked]) -> Generator[tuple[int, Answer | LLMError], None, None]:
        """The replies as they come, each with the place of its prompt.

        Args:
            asked: as `asking` makes it.

        Yields:
            A place, and the reply as JSON or the error of a failed call.

        Raises:
            UnsupportedError: the server does not say the log-probabilities of prompts.
            InputError: a variable that should hold a secret is empty.
        """

        def call_of(client: openai.OpenAI, server: Server) -> Callable[[Any], Any]:
            return _Call(client, server, self)

        for place, answer in self.server.call_each(call_of, asked):
            if isinstance(answer, _RefusedError):
                raise UnsupportedError(str(answer))
            yield place, answer


class _RefusedError(LLMError):
    """What the server does not offer, so that nothing else need be asked."""


@dataclass(frozen=True)
class _Call:
    """Asks one prompt after another, from several threads."""

    client: openai.OpenAI
    server: Server
    completions: Completions

    def __call__(self, asked: Any) -> Answer | LLMError:
        (one,) = asked
        meter, prompt, write = self.completions.meter, one["content"], one["write"]
        if not meter.enter(prompt, write or 1):
            return OverBudgetError(str(meter))
        tokens = (0, 0)
        try:
            completion = self._sent(prompt, write)
            tokens = _tokens(completion)
            return self._read(completion, write, tokens)
        except UnsupportedError as error:
            return _RefusedError(str(error))
        except Exception as error:  # whatever one call meets, the others go on
            return self._explained(error)
        finally:
            meter.leave(*tokens)

    def _sent(self, prompt: str, write: int) -> Any:
        create: Any = self.client.completions.create
        given = self.completions.server.extra_body
        return create(
            model=self.server.model,
            prompt=prompt,
            echo=not write,
            logprobs=1,
            max_tokens=write or 1,  # some servers take 0 for no limit, others refuse it
            temperature=0,
            **({"extra_body": dict(given)} if given else {}),
        )

    def _read(self, completion: Any, write: int, tokens: tuple[int, int]) -> Answer | LLMError:
        choice = completion.choices[0]
        if not isinstance(choice.text, str):
            raise TypeError(f"its text is {type(choice.text).__name__}")
        if write:
            own = choice.logprobs
            shown = {name: list(getattr(own, name, None) or []) for name in ("tokens", "token_logprobs")}
            said = {"written": choice.text, "tokens": shown["tokens"], "logprobs": shown["token_logprobs"]}
        else:
            said = plain(choice)
        spent: dict[str, Any] = {"prompt_tokens": tokens[0], "answer_tokens": tokens[1]}
        return Answer(scrubbed(kept(said), self.server.secrets), finish_reason=choice.finish_reason or "", **spent)

    def _explained(self, error: Exception) -> LLMError:
        text = explained(error, self.server, "completion")
        if isinstance(error, openai.APIStatusError) and error.status_code != 429 and REFUSED.search(str(error)):
            return _RefusedError(
                f"{text} What is asked here are log-probabilities of prompts: echo with logprobs, of /v1/completions. "
                "Serve the model with vLLM or FastChat, or load it with interp.load(path)."
            )
        return LLMError(text)


def _tokens(completion: Any) -> tuple[int, int]:
    """The tokens sent and received, as the server counts them; by its list of tokens where it counts none."""
    usage = getattr(completion, "usage", None)
    sent, received = (getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    if isinstance(sent, int) and isinstance(received, int):
        return sent, received
    choice = completion.choices[0]
    return len(getattr(choice.logprobs, "tokens", None) or []), 1
