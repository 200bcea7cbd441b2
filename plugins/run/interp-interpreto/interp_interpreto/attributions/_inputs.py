"""Texts and targets as interpreto takes them, turned into those of `interp.attribute`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from interp_core.errors import InputError
from torch import Tensor


def texts_of(inputs: Any, tokenizer: Any) -> list[str]:
    """The texts: a string, encoded texts, or several of either.

    Args:
        inputs: one text, several, or what the tokenizer has made of them.
        tokenizer: the tokenizer.

    Raises:
        InputError: there are none, or they are something else.
    """
    texts = [text for one in _several(inputs) for text in _decoded(one, tokenizer)]
    if not texts:
        raise InputError("there are no texts.")
    return texts


def _several(inputs: Any) -> list[Any]:
    if isinstance(inputs, str | Mapping | Tensor) or not isinstance(inputs, Iterable):
        return [inputs]
    return list(inputs)


def _decoded(one: Any, tokenizer: Any) -> list[str]:
    if isinstance(one, str):
        return [one]
    if isinstance(one, Mapping) and "input_ids" in one:
        ids, mask = torch.as_tensor(one["input_ids"]), one.get("attention_mask")
        ids = ids[None] if ids.ndim == 1 else ids
        kept = torch.ones_like(ids) if mask is None else torch.as_tensor(mask).reshape(ids.shape)
        return [_text_of(row[own.bool()], tokenizer) for row, own in zip(ids, kept, strict=True)]
    if isinstance(one, Tensor) and not one.is_floating_point() and one.ndim in (1, 2):
        return [_text_of(row, tokenizer) for row in (one[None] if one.ndim == 1 else one)]
    raise InputError(f"a text is {type(one).__name__}; a string, or what the tokenizer makes of one, was expected.")


def _text_of(ids: Tensor, tokenizer: Any) -> str:
    """The text of token ids.

    Raises:
        InputError: it would be tokenised differently, so that another text would be explained.
    """
    text: str = tokenizer.decode(ids.tolist(), skip_special_tokens=True)
    special = set(tokenizer.all_special_ids)
    again = tokenizer(text)["input_ids"]
    if [i for i in again if i not in special] != [i for i in ids.tolist() if i not in special]:
        raise InputError(f"the token ids of {text[:80]!r} do not come back from their text; give the text itself.")
    return text


def classes_of(targets: Any, count: int) -> Any:
    """The targets of a classifier: None, or a list of classes for each text.

    Args:
        targets: None, a class, a tensor (n) or (n, t), or an iterable of classes or of tensors (t).
        count: the number of texts n.

    Raises:
        InputError: they are something else, or not as many as texts.
    """
    if targets is None:
        return None
    if isinstance(targets, int) and not isinstance(targets, bool):
        targets = [targets]
    if isinstance(targets, str) or not isinstance(targets, Iterable):
        raise InputError(f"targets is {targets!r}; numbers of classes, one or more for each text, were expected.")
    rows = [_class_row(one) for one in targets]
    if len(rows) != count:
        raise InputError(
            f"{len(rows)} rows of targets were given for {count} texts; one for each was expected, such as "
            f"torch.tensor([[0, 1]]) for one text."
        )
    return rows


def _class_row(row: Any) -> list[int]:
    values = torch.as_tensor(row)
    if values.is_floating_point() or values.dtype == torch.bool or values.ndim > 1:
        raise InputError(f"the targets of a text are {row!r}; numbers of classes were expected.")
    return [int(value) for value in values.reshape(-1)]


def continuations_of(targets: Any, tokenizer: Any, count: int) -> Any:
    """The targets of a generator: None, or a continuation for each text, set off by a space as interpreto does.

    Args:
        targets: None, a continuation, its token ids, or one of these for each text.
        tokenizer: the tokenizer.
        count: the number of texts.

    Raises:
        InputError: they are something else, or not as many as texts.
    """
    if targets is None:
        return None
    if isinstance(targets, Tensor | Mapping):
        ids = torch.as_tensor(targets["input_ids"] if isinstance(targets, Mapping) else targets)
        given = [tokenizer.decode(row.tolist(), skip_special_tokens=True) for row in ids.reshape(-1, ids.shape[-1])]
    else:
        given = texts_of(targets, tokenizer)
    if len(given) != count:
        raise InputError(f"{len(given)} targets were given for {count} texts; one for each was expected.")
    return [text if text.startswith((" ", "\n")) else f" {text}" for text in given]
