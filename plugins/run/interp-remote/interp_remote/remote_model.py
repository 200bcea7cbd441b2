"""A model that runs behind a completions server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from interp_core.attribution import Options, Session
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import Head
from interp_core.results import Usage
from interp_llm.cache import check_folder
from interp_llm.prices import Prices
from interp_openai.client import OpenAI

from interp_remote.completions import Completions
from interp_remote.meter import Meter
from interp_remote.runner import SERVED
from interp_remote.session import RemoteSession


class ServedError(UnsupportedError, AttributeError):
    """Something that only a model has that is here."""


class RemoteModel:
    """A model behind a server of OpenAI's completions, queried through the log-probabilities of prompts.

    `attribute` and `measure` take it in place of a `TextModel`, with methods and metrics that remove units: occlusion,
    LIME, Kernel SHAP, Shapley values, Sobol indices, RISE, insertion and deletion. A unit is removed by leaving out its
    characters (`removal="drop"`). The server must answer `echo` with `logprobs`, as vLLM and FastChat do; a first trial
    checks that these are right.

    Args:
        base_url: address of the server, such as `http://localhost:8000/v1`.
        model: name of the model at the server.
        tokenizer: the tokenizer of the model, for its chat template; needed only where prompts are chats.
        cache: folder that keeps all answers, made if it is missing; a run that repeats a prompt asks nothing. None
            keeps none.
        parallel: number of requests at once.
        max_tokens: maximum number of tokens, sent and received, of all answers to this object; None for no limit. Tries
            without an answer are not counted, since a server does not say what they took; `retries` limits them.
        max_cost: maximum cost of all answers, in the currency of `prices`; None for no limit.
        prices: the price of a million tokens sent, and of a million received.
        key_from: name of the environment variable that holds the key, if the server needs one. The key itself is stored
            nowhere.
        headers_from: headers whose values are secrets: their names, each with the environment variable that holds it.
        extra_body: further parameters of each request, by name, such as `{"add_special_tokens": False}` for vLLM.
        timeout: seconds for one try of a request.
        retries: further tries after the first, where the server is busy or a connection is lost.

    Attributes:
        name: the name of the model.
        head: `"causal"`.
        labels: none.
        base_url: as given.
        tokenizer: as given.
        cache: as given.
        completions: the client.
        tried: whether the trial has shown that the server gives the same log-probability for a token in a prompt as
            where it generates it.
        tokens_per_batch: maximum number of tokens of texts that are prepared together.

    Raises:
        InputError: an argument cannot be used: an address that is none or has a secret in it, a limit that is no
            positive number, `max_cost` without `prices`.

    Examples:
        >>> import interp_core as interp
        >>> model = interp.RemoteModel("http://localhost:8000/v1", "my-model", max_tokens=100_000)
        >>> model
        RemoteModel(my-model, http://localhost:8000/v1)
        >>> model.spent.prompt_tokens
        0
        >>> model.split(3)
        Traceback (most recent call last):
        interp_remote.remote_model.ServedError: my-model is served, so there is no 'split'. ...
    """

    head: Head = "causal"
    labels: tuple[str, ...] = ()
    tokens_per_batch = 2**20

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        tokenizer: Any = None,
        cache: str | Path | None = None,
        parallel: int = 8,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        prices: Prices | None = None,
        key_from: str = "OPENAI_API_KEY",
        headers_from: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        if not (isinstance(base_url, str) and isinstance(model, str) and model):
            raise InputError(
                f"base_url={base_url!r} and model={model!r}: the address of a server, such as "
                "'http://localhost:8000/v1', and the name of the model there were expected."
            )
        check_folder(cache)
        server = OpenAI(
            model,
            base_url,
            key_from=key_from,
            timeout=timeout,
            retries=retries,
            parallel=parallel,
            temperature=0.0,
            max_tokens=None,
            headers_from=headers_from,
            extra_body=extra_body,
            prices=prices,
        )
        self.name, self.base_url, self.tokenizer, self.cache = model, base_url, tokenizer, cache
        self.tried = False
        self.completions = Completions(server, Meter(max_tokens, max_cost, prices))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.base_url})"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise ServedError(f"{self.name} is served, so there is no {name!r}. {SERVED}")

    @property
    def spent(self) -> Usage:
        """The cost of the server's answers to this object, without answers from the cache or tries without one."""
        return self.completions.meter.spent

    def session(self, options: Options) -> Session:
        """One run of the model over texts.

        Args:
            options: the options of the run.

        Raises:
            UnsupportedError: they ask for what a server does not offer.
            TargetError: a score space that log-probabilities of tokens do not give.
        """
        return RemoteSession(self, options)
