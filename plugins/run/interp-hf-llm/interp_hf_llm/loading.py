"""Loads a chat model, and writes conversations as it reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from interp_core.errors import InputError, LLMError
from safetensors import SafetensorError


@dataclass(frozen=True)
class ChatModel:
    """A model, its tokenizer, and what generation needs to know of them.

    Args:
        name: what it is called in messages.
        model: the model.
        tokenizer: its tokenizer.
        stops: ids of tokens that end an answer.
        longest: tokens that it reads at most; None if it does not say.
    """

    name: str
    model: Any
    tokenizer: Any
    stops: tuple[int, ...]
    longest: int | None

    def ids(self, messages: list[dict[str, str]], options: Mapping[str, Any]) -> list[int]:
        """A conversation as tokens, up to where the answer begins.

        Args:
            messages: the conversation. Where the template refuses a system message, it is put before the first message
                of the user.
            options: further arguments of the template.

        Raises:
            LLMError: the template refuses the conversation.
        """
        try:
            text = self._written(messages, options)
        except Exception as error:  # templates raise what they like
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise self._refused(error) from None
            first, second, *others = messages
            joined = {**second, "content": f"{first['content']}\n\n{second['content']}"}
            try:
                text = self._written([joined, *others], options)
            except Exception:
                raise self._refused(error) from None
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _written(self, messages: list[dict[str, str]], options: Mapping[str, Any]) -> str:
        given = {**options, "tokenize": False, "add_generation_prompt": True}
        text: str = self.tokenizer.apply_chat_template([dict(one) for one in messages], **given)
        return text

    def _refused(self, error: Exception) -> LLMError:
        return LLMError(
            f"the chat template of {self.name!r} refuses the conversation ({type(error).__name__}: {error})."
        )


def fingerprint(model: str) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files of a model; nothing for one from the hub.

    Args:
        model: its folder or id.
    """
    files = sorted(Path(model).iterdir()) if model and Path(model).is_dir() else ()
    return tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file())


def tokenizer_of(model: str) -> Any:
    """The tokenizer of a chat model; the last one that was asked for is kept.

    Args:
        model: the folder or id of the model.

    Raises:
        InputError: it cannot be loaded, or has no chat template.
    """
    return _tokenizer_of(model, fingerprint(model))


def chat_model(model: str, dtype: str, device: str | None) -> ChatModel:
    """A chat model; the last one that was asked for is kept, unless its files change.

    Args:
        model: its folder or id.
        dtype: number format of the weights, or `"auto"` for that of the files.
        device: where it computes; None for the GPU, if there is one.

    Raises:
        InputError: it cannot be loaded, or has no chat template.
    """
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return _chat_model(model, dtype, place, fingerprint(model))


@lru_cache(maxsize=1)
def _tokenizer_of(model: str, _files: object) -> Any:
    if not model:
        raise InputError("hf-llm needs model: the folder of a chat model, or its id on the Hugging Face hub.")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError, ImportError) as error:
        raise _not_loaded("the tokenizer", model, error) from None
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"the tokenizer of {model!r} has no chat template, so it cannot be asked; give a chat model, whose "
            "names often end in -Instruct or -it."
        )
    return tokenizer


@lru_cache(maxsize=1)
def _chat_model(model: str, dtype: str, device: str, files: object) -> ChatModel:
    tokenizer = _tokenizer_of(model, files)
    try:
        with torch.random.fork_rng(devices=[]):  # where weights are made anew
            loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype, use_safetensors=True).eval()
        loaded.to(device)
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise _not_loaded("the model", model, error) from None
    stops = _stops(loaded.generation_config, tokenizer)
    loaded.generation_config = transformers.GenerationConfig()  # without its authors' choice of how to sample
    longest = getattr(loaded.config.get_text_config(), "max_position_embeddings", None)
    return ChatModel(model, loaded, tokenizer, stops, longest)


def _stops(config: Any, tokenizer: Any) -> tuple[int, ...]:
    known = config.eos_token_id
    listed = known if isinstance(known, list) else [known]
    return tuple(sorted({one for one in (*listed, tokenizer.eos_token_id) if one is not None}))


def _not_loaded(what: str, model: str, error: Exception) -> InputError:
    said = " ".join(str(error).split())
    return InputError(
        f"{what} {model!r} cannot be loaded ({type(error).__name__}: {said[:200]}); give the folder of a chat model "
        "with safetensors weights, or its id on the Hugging Face hub."
    )
