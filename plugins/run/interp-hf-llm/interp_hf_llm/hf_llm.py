"""A local Hugging Face chat model, asked in batches."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from interp_core.errors import InputError, LLMError
from interp_core.plugin import check_fields
from interp_llm.answer import Answer, UnusableError
from jaxtyping import Int
from torch import Tensor

from interp_hf_llm.loading import ChatModel, chat_model, fingerprint, tokenizer_of
from interp_hf_llm.sampling import GumbelNoise, seed_of

Messages = list[dict[str, str]]
Row = tuple[int, list[int]]  # the place of a conversation, and its tokens


@dataclass(frozen=True)
class HFLLM:
    """A local Hugging Face chat model as a language model to ask, with many conversations in one batch.

    The model is loaded when it is first asked, and the last one stays loaded. Conversations of similar length share a
    batch; shorter ones are padded on the left. The generation configuration of the model is not used: a temperature of
    0 takes the likeliest token each time, any other draws from all tokens. An answer depends only on its conversation
    and the seed, up to the rounding of batches, which shows in number formats below float32.

    Args:
        model: folder of the model, or its id on the Hugging Face hub.
        max_new_tokens: maximum number of tokens of an answer, thoughts included, at least 1. With the conversation it
            must fit into the context of the model.
        temperature: 0 for the likeliest tokens; otherwise the positive number that logits are divided by before a token
            is drawn.
        batch_size: number of conversations in one batch, at least 1. A batch that does not fit into the memory of a GPU
            is halved.
        seed: random seed of the draws.
        dtype: number format of the weights: `"float32"`, `"float16"`, `"bfloat16"` or `"float64"`; `"auto"` for that of
            the files.
        device: device to compute on; None for the GPU, if there is one.
        template: further arguments of the chat template, such as `{"enable_thinking": False}`.

    Raises:
        InputError: a value has another type, a number is out of range, or the number format is unknown.

    Examples:
        >>> from interp_hf_llm.hf_llm import HFLLM
        >>> llm = HFLLM(**HFLLM.CHECKED_WITH, max_new_tokens=4)  # a toy model that knows five topics
        >>> str(llm.generate([{"role": "user", "content": "apple, pear, plum"}]))
        'fruit'

    Source:
        Greedy decoding by definition; draws by the Gumbel-max trick (Gumbel 1954), which uses no global random state.
    """

    model: str = ""
    max_new_tokens: int = 64
    temperature: float = 0.0
    batch_size: int = 8
    seed: int = 0
    dtype: str = "auto"
    device: str | None = None
    template: Mapping[str, Any] | None = None

    CHECKED_WITH: ClassVar[dict[str, str]] = {"model": str(Path(__file__).parent / "example")}

    def __post_init__(self) -> None:
        check_fields(self)
        if min(self.max_new_tokens, self.batch_size) < 1 or self.temperature < 0:
            raise InputError(
                f"max_new_tokens={self.max_new_tokens} and batch_size={self.batch_size} must be at least 1, and "
                f"temperature={self.temperature} at least 0."
            )
        if self.dtype != "auto" and not re.fullmatch("float32|float16|bfloat16|float64", self.dtype):
            raise InputError(f"dtype {self.dtype!r} is unknown; it is 'auto', 'float32', 'bfloat16' or 'float16'.")

    def ready(self) -> None:
        """Check, before anything is asked that no cache knows, that the model can be asked.

        Raises:
            InputError: no model is named, its tokenizer cannot be loaded, or it has no chat template.
        """
        tokenizer_of(self.model)

    def identity(self) -> dict[str, Any]:
        """What its answers depend on, the files of the model included."""
        return {
            "client": "hf-llm",
            "model": self.model,
            "files": fingerprint(self.model),
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "seed": self.seed if self.temperature else None,
            "dtype": self.dtype,
            "template": dict(self.template or {}),
        }

    def generate(self, messages: Messages) -> str:
        """The answer to one conversation.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": …}`, in order.

        Returns:
            The text, with the number of its tokens.

        Raises:
            LLMError: there is no answer, such as to a conversation that is too long.
            InputError: the model cannot be loaded, or has no chat template.
        """
        ((_, answer),) = self.generate_each([messages])
        if isinstance(answer, LLMError):
            raise answer
        return answer

    def generate_all(self, conversations: Sequence[Messages]) -> list[str | LLMError]:
        """The answers to several conversations, in their order, with an error in the place of a missing one.

        Args:
            conversations: the conversations.

        Returns:
            An answer or an error for each conversation.

        Raises:
            InputError: the model cannot be loaded, or has no chat template.
        """
        answers = dict(self.generate_each(conversations))
        return [answers[place] for place in range(len(conversations))]

    def generate_each(self, conversations: Sequence[Messages]) -> Generator[tuple[int, Answer | LLMError], None, None]:
        """The answers to several conversations, batch by batch, each with the number of its conversation.

        Args:
            conversations: the conversations.

        Yields:
            The number of a conversation, and its answer or error.

        Raises:
            InputError: the model cannot be loaded, or has no chat template.
        """
        chat = chat_model(self.model, self.dtype, self.device)
        rows: list[Row] = []
        for place, messages in enumerate(conversations):
            try:
                rows.append((place, self._read(chat, messages)))
            except LLMError as error:
                yield place, error
        rows.sort(key=lambda row: len(row[1]), reverse=True)  # the largest batch first: memory lacks at once or never
        for start in range(0, len(rows), self.batch_size):
            yield from self._batch(chat, rows[start : start + self.batch_size])

    def _read(self, chat: ChatModel, messages: Messages) -> list[int]:
        ids = chat.ids(messages, self.template or {})
        if chat.longest is not None and len(ids) + self.max_new_tokens > chat.longest:
            raise LLMError(
                f"the conversation has {len(ids)} tokens, and with max_new_tokens={self.max_new_tokens} does not fit "
                f"into the {chat.longest} that {self.model!r} reads; shorten it, or lower max_new_tokens."
            )
        return ids

    def _batch(self, chat: ChatModel, rows: list[Row]) -> Iterator[tuple[int, Answer | LLMError]]:
        try:
            said = self._generated(chat, [ids for _, ids in rows])
        except torch.OutOfMemoryError:
            if len(rows) > 1:
                half = len(rows) // 2
                yield from self._batch(chat, rows[:half])
                yield from self._batch(chat, rows[half:])
                return
            yield rows[0][0], LLMError("out of memory for a single conversation; shorten it, or lower max_new_tokens.")
        else:
            for (place, ids), new in zip(rows, said.tolist(), strict=True):
                yield place, self._answer(chat, len(ids), new)

    def _generated(self, chat: ChatModel, rows: list[list[int]]) -> Int[Tensor, "rows new"]:
        """The tokens of the answers, and whatever follows them."""
        width = max(map(len, rows))
        filler = chat.tokenizer.pad_token_id
        filler = filler if filler is not None else (*chat.stops, 0)[0]
        device = chat.model.device
        ids = torch.tensor([[filler] * (width - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
        noise = [GumbelNoise(self.temperature, [seed_of(self.seed, row) for row in rows])] if self.temperature else []
        settings = transformers.GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            eos_token_id=list(chat.stops) or None,
            pad_token_id=filler,
        )
        with torch.inference_mode():
            made: Tensor = chat.model.generate(
                input_ids=ids, attention_mask=mask, generation_config=settings, logits_processor=noise
            )
        return made[:, width:]

    def _answer(self, chat: ChatModel, prompt_tokens: int, new: list[int]) -> Answer | LLMError:
        length = next((i for i, one in enumerate(new) if one in chat.stops), None)
        ended = length is not None
        said = new[:length]
        text = chat.tokenizer.decode(said, skip_special_tokens=True).strip()
        count = len(said) + ended
        if not text:
            return UnusableError(
                f"empty answer from {self.model!r}; raise max_new_tokens, or ask another model.",
                prompt_tokens=prompt_tokens,
                answer_tokens=count,
            )
        reason = "stop" if ended else "length"
        return Answer(text, prompt_tokens=prompt_tokens, answer_tokens=count, finish_reason=reason)
