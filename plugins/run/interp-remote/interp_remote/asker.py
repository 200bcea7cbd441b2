"""Asks a server the prompts of a run: each once, several at a time, kept on disk, within the limits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from interp_core.errors import BudgetError, LLMError, UnsupportedError
from interp_core.results import Cost, Usage
from interp_llm.answer import Answer
from interp_llm.asking import ask

from interp_remote.completions import asking
from interp_remote.meter import OverBudgetError
from interp_remote.reply import Reply, hidden

Prompts = tuple[str, ...]
TRIED = 4  # tokens whose log-probabilities are asked for twice
APART = 0.5  # nats; batches and caches of a server make less


class Asker:
    """Takes the place of the batch runner in a run: a request is some prompts, its output their replies.

    Args:
        model: the `RemoteModel`.
        cost: counts requests as passes, prompts as rows, and the tokens of both directions.

    Attributes:
        in_flight: how many texts are explained at a time.
        progress: whether a progress bar of the requests is shown.
        usage: what was asked in the run.
        retokenised: for each variant of a text, whether tokens that are not removed are others than in the text, in the
            prompt and in the continuation.
        rewritten: texts whose continuation the server reads as other tokens than those that the model wrote.

    Examples:
        >>> from interp_core.results import Cost
        >>> from interp_remote.asker import Asker
        >>> from interp_remote.remote_model import RemoteModel
        >>> Asker(RemoteModel("http://localhost:8000/v1", "my-model"), Cost()).usage.conversations
        0
    """

    def __init__(self, model: Any, cost: Cost) -> None:
        self.model, self.cost = model, cost
        self.in_flight, self.progress, self.usage = 1, True, Usage()
        self.retokenised: dict[str, tuple[bool, bool]] = {}
        self.rewritten: set[str] = set()
        self._known: dict[str, Reply] = {}
        self._written: dict[tuple[str, int], dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self._tried_in_vain = False

    def run(self, requests: Sequence[Prompts]) -> list[list[Reply]]:
        """The replies to the prompts of several requests, all asked together.

        Args:
            requests: the prompts.

        Returns:
            For each request the reply to each of its prompts.

        Raises:
            BudgetError: a limit on tokens or money leaves no room for a prompt.
            LLMError: a prompt has no reply.
            UnsupportedError: the server does not say the log-probabilities of prompts.
            ModelError: it says something other than a finite number.
        """
        new = list(dict.fromkeys(p for prompts in requests for p in prompts if p not in self._known))
        if new and not self.model.tried and not self._tried_in_vain:
            self._try(new[0])
        self._fetch([prompt for prompt in new if prompt not in self._known])
        return [[self._known[prompt] for prompt in prompts] for prompts in requests]

    def _fetch(self, prompts: Sequence[str]) -> None:
        answers = self._answers([asking(prompt) for prompt in prompts])
        for prompt, answer in zip(prompts, answers, strict=True):
            if isinstance(answer, Answer):
                self._known[prompt] = Reply.read(prompt, json.loads(answer))
        self._check(answers)

    def _try(self, prompt: str) -> None:
        """See, once for a model, whether the server says of tokens in a prompt what it says where it writes them.

        Raises:
            UnsupportedError: it does not.
        """
        for beginning in dict.fromkeys((prompt, prompt[: len(prompt) // 2].rstrip() or "The", "The")):
            self.written([beginning], TRIED)
            said = self._written[beginning, TRIED]
            both = zip(said["tokens"], said["logprobs"], strict=False)
            before = list(takewhile(lambda one: not hidden(one[0]), both))
            if before:
                again = beginning + "".join(token for token, _ in before)
                self._fetch([again])
                self.model.tried = _is_same(before, beginning, self._known[again])
            if self.model.tried:
                return
        self._tried_in_vain = True

    @property
    def checked(self) -> bool:
        """Whether the server has shown that it says of tokens in a prompt what it says where it writes them."""
        return bool(self.model.tried)

    def known(self, prompt: str) -> bool:
        """Whether this run has the reply to a prompt."""
        return prompt in self._known

    def number_of(self, token: str) -> int:
        """A number for a token, the same throughout the run."""
        return self._numbers.setdefault(token, len(self._numbers))

    def written(self, prompts: Sequence[str], most: int) -> list[tuple[str, list[str]]]:
        """What the model writes after each prompt, always the likeliest token; and its tokens if the server says them.

        Args:
            prompts: the prompts.
            most: the most tokens.

        Raises:
            BudgetError: a limit on tokens or money leaves no room for a prompt.
            LLMError: a prompt has no reply.
        """
        new = [prompt for prompt in dict.fromkeys(prompts) if (prompt, most) not in self._written]
        answers = self._answers([asking(prompt, most) for prompt in new])
        for prompt, answer in zip(new, answers, strict=True):
            if isinstance(answer, Answer):
                self._written[prompt, most] = json.loads(answer)
        self._check(answers)
        several = [self._written[prompt, most] for prompt in prompts]
        return [(one["written"], one["tokens"]) for one in several]

    def _answers(self, asked: list[Any]) -> Sequence[Answer | LLMError]:
        if not asked:
            return ()
        got = ask(self.model.completions, asked, cache=self.model.cache, progress=self.progress)
        self.usage += got.usage
        fresh = got.usage.conversations - got.usage.cached - got.usage.failed
        self.cost.forwards += fresh
        self.cost.rows += fresh
        self.cost.tokens += got.usage.prompt_tokens + got.usage.answer_tokens
        return got.answers

    def _check(self, answers: Sequence[Answer | LLMError]) -> None:
        errors = [one for one in answers if isinstance(one, LLMError)]
        if not errors:
            return
        cache = self.model.cache
        fate = f"in {str(cache)!r}, and only the rest is asked then" if cache else "lost without cache= (a folder)"
        short = next((error for error in errors if isinstance(error, OverBudgetError)), None)
        failed = next((error for error in errors if not isinstance(error, OverBudgetError)), None)
        left = f"{len(errors)} of {len(answers)} prompts have no answer"
        if failed is not None:
            raise LLMError(f"{left}: {failed} Ask again; the answers so far are {fate}.")
        raise BudgetError(f"{short}; {left}. Raise the limit and ask again; the answers so far are {fate}.")


def _is_same(before: Sequence[tuple[str, float | None]], prompt: str, reply: Reply) -> bool:
    """Whether a server says of tokens in a prompt the log-probabilities that it said where it wrote them.

    Returns:
        False if it cannot be told, since it reads other tokens than it wrote.

    Raises:
        UnsupportedError: for most tokens they are others.
    """
    later = dict(zip(reply.spans, reply.logprobs, strict=True))
    place, pairs = len(prompt), []
    for token, one in before:
        two = later.get((place, place + len(token)))
        if one is None or two is None:
            break
        pairs.append((token, one, two))
        place += len(token)
    apart = [f"{token!r} {one:.2f} and {two:.2f}" for token, one, two in pairs if abs(one - two) > APART]
    if 2 * len(apart) > len(pairs):
        raise UnsupportedError(
            f"the server's log-probabilities of a prompt are not those of its tokens: after {prompt[-40:]!r}, those of "
            f"what it writes, and of the same in a prompt, are {', '.join(apart)}. llama-cpp-python (to 0.3.36) "
            "gives each token the distribution of the one that follows. Serve the model with vLLM or FastChat, or load "
            "it with interp.load(path)."
        )
    return bool(pairs)
