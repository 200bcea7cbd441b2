"""Language models that name concepts, asked as interpreto asks them: a list of (role, text)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from interp_core.errors import InputError, LLMError

if TYPE_CHECKING:
    from interp_openai.client import OpenAI

Prompt = list[tuple["Role", str]]
Messages = list[dict[str, str]]


class Role(Enum):
    """Who speaks.

    Examples:
        >>> from interp_interpreto.model_wrapping.llm_interface import Role
        >>> Role("user")
        <Role.USER: 'user'>
    """

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class LLMInterface(ABC):
    """A language model of the caller's. Subclasses answer one prompt.

    Examples:
        >>> from interp_interpreto.model_wrapping.llm_interface import LLMInterface
        >>> class Echo(LLMInterface):
        ...     def generate(self, prompt):
        ...         return prompt[-1][1]
    """

    @abstractmethod
    def generate(self, prompt: Prompt) -> str | None:
        """The answer to a prompt, or None if there is none.

        Args:
            prompt: pairs of a role and what it says, in order.

        Returns:
            The answer.
        """


class OpenAILLM(LLMInterface):
    """OpenAI, or a server that speaks its chat completions, by `interp-openai`.

    Args:
        api_key: the key; it is kept in this object alone, and stands in no result.
        model: the name of the model at the server.
        num_try: tries in all.
        base_url: the server; None for OpenAI, or what `OPENAI_BASE_URL` says.
        **parameters: further ones of `interp-openai`, such as `parallel`.

    Raises:
        InputError: a parameter is unknown or out of range.

    Examples:
        >>> from interp_interpreto.model_wrapping.llm_interface import OpenAILLM
        >>> OpenAILLM(api_key="sk-…", base_url="http://localhost:8000/v1").client.model
        'gpt-4.1-nano'
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "gpt-4.1-nano",
        num_try: int = 5,
        *,
        base_url: str | None = None,
        **parameters: Any,
    ) -> None:
        self.client = _keyed(api_key)(model=model, retries=num_try - 1, base_url=base_url, **parameters)

    def generate(self, prompt: Prompt) -> str | None:
        """The answer to a prompt.

        Args:
            prompt: pairs of a role and what it says.

        Raises:
            LLMError: the call failed, or the answer is empty.
            InputError: OpenAI itself is asked and there is no key.
        """
        answer: str = self.client.generate([{"role": Role(role).value, "content": text} for role, text in prompt])
        return answer


def _keyed(api_key: str | None) -> type[OpenAI]:
    """The client with a key that is in no field of it, so that no result keeps it.

    Raises:
        InputError: the key is empty.
    """
    from interp_openai.client import OpenAI

    if api_key is None:
        return OpenAI
    given = api_key.strip()
    if not given:
        raise InputError("api_key is empty; give the key, or leave it out to have it read from the environment.")

    class KeyedOpenAI(OpenAI):
        """The client, with a key that the caller gave."""

        def key(self) -> str:
            return given

    KeyedOpenAI.__qualname__ = "OpenAI"  # as results name it
    return KeyedOpenAI


@dataclass(frozen=True)
class AsLLM:
    """A language model of the caller's, asked as interp asks.

    Args:
        interface: the language model.
    """

    interface: Any = field(repr=False)  # it may hold a key, which must not stand in a result

    def identity(self) -> Any:
        """What its answers depend on: what the language model says of itself by its own `identity()`, or else its class
        and its attribute `model`.
        """
        own, kind = getattr(self.interface, "identity", None), type(self.interface)
        model = getattr(self.interface, "model", None)
        named = {"model": model} if isinstance(model, str) else {}
        return own() if callable(own) else {"client": f"{kind.__module__}:{kind.__qualname__}", **named}

    def generate(self, messages: Messages) -> str:
        """The answer to one conversation.

        Args:
            messages: `{"role": …, "content": …}`, in order.

        Raises:
            LLMError: there is none.
        """
        answer = self.interface.generate([(Role(one["role"]), one["content"]) for one in messages])
        if not answer:
            raise LLMError(f"{type(self.interface).__name__} gave no answer.")
        return str(answer)


def llm_of(interface: Any) -> Any:
    """The language model as interp asks it; whatever is no `LLMInterface` is taken as it is.

    Args:
        interface: an `LLMInterface`, or what `llm=` of `llm-labels` takes.
    """
    if isinstance(interface, OpenAILLM):
        return interface.client
    return AsLLM(interface) if isinstance(interface, LLMInterface) else interface
