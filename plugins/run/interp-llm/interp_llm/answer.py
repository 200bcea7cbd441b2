"""What a language model says to one conversation, or why that is no answer."""

from __future__ import annotations

from interp_core.errors import LLMError


class Answer(str):
    """The text of an answer, with what is known about it; made as `Answer(text, prompt_tokens=…)`.

    Attributes:
        prompt_tokens: tokens of the conversation, as the model counts them; None where it does not say.
        answer_tokens: tokens of the answer, thoughts included; None where it does not say.
        finish_reason: why the model stopped, in its own words, such as `"stop"` or `"length"`; empty if unknown.
        cached: whether the answer was on disk already.

    Examples:
        >>> from interp_llm.answer import Answer
        >>> answer = Answer("fruit", prompt_tokens=120, answer_tokens=2)
        >>> answer.upper(), answer.answer_tokens, answer == "fruit"
        ('FRUIT', 2, True)
    """

    prompt_tokens: int | None
    answer_tokens: int | None
    finish_reason: str
    cached: bool

    def __new__(
        cls,
        text: str,
        *,
        prompt_tokens: int | None = None,
        answer_tokens: int | None = None,
        finish_reason: str = "",
        cached: bool = False,
    ) -> Answer:
        """The answer."""
        answer = super().__new__(cls, text)
        answer.prompt_tokens, answer.answer_tokens = prompt_tokens, answer_tokens
        answer.finish_reason, answer.cached = finish_reason, cached
        return answer


class UnusableError(LLMError):
    """The model was asked, and what came back cannot be used; its tokens are paid for all the same.

    Args:
        message: what happened, and what to do.
        prompt_tokens: tokens of the conversation.
        answer_tokens: tokens of what came back.

    Examples:
        >>> from interp_llm.answer import UnusableError
        >>> UnusableError("refused by the content filter.", prompt_tokens=120).prompt_tokens
        120
    """

    def __init__(self, message: str, *, prompt_tokens: int | None = None, answer_tokens: int | None = None) -> None:
        super().__init__(message)
        self.prompt_tokens, self.answer_tokens = prompt_tokens, answer_tokens


class DryRunError(UnusableError):
    """Nothing was asked, on purpose; the tokens are estimates of what asking would take.

    Args:
        message: what happened.
        prompt_tokens: tokens of the conversation.
        answer_tokens: tokens that an answer may have.

    Examples:
        >>> from interp_llm.answer import DryRunError
        >>> DryRunError("a dry run: nothing was asked.", answer_tokens=64).answer_tokens
        64
    """
