"""Texts and targets as interpreto takes them, turned into those of `interp.attribute`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from interp_core.errors import InputError
from torch import Tensor


def texts_of(inputs: Any, tokenizer: Any) -> list[Any]:
    """The texts: a string, a pair of strings, encoded texts, or several of these.

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


def _decoded(one: Any, tokenizer: Any) -> list[Any]:
    if isinstance(one, str) or (isinstance(one, tuple) and [type(part) for part in one] == [str, str]):
        return [one]
    if isinstance(one, Mapping) and "input_ids" in one:
        ids = _rows(one["input_ids"])
        masks = _rows(one["attention_mask"]) if "attention_mask" in one else [[1] * len(row) for row in ids]
        if any(any(row) for row in _rows(one.get("token_type_ids", [0]))):
            raise InputError("the token ids are of a pair of texts; give the two as a tuple of strings.")
        kept = [[i for i, held in zip(*pair, strict=True) if held] for pair in zip(ids, masks, strict=True)]
        return [_text_of(row, tokenizer) for row in kept]
    if isinstance(one, Tensor) and not one.is_floating_point() and one.ndim in (1, 2):
        return [_text_of(row, tokenizer) for row in _rows(one)]
    raise InputError(f"a text is {type(one).__name__}; a string, or what the tokenizer makes of one, was expected.")


def _rows(ids: Any) -> list[list[int]]:
    """Rows of numbers, of a tensor or of lists, which may differ in length."""
    listed = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    return [list(row) for row in (listed if listed and isinstance(listed[0], list) else [listed])]


def _text_of(ids: list[int], tokenizer: Any) -> str:
    """The text of token ids, with the special tokens that stand in it, but not those that the tokenizer adds around it.

    Raises:
        InputError: it would be tokenised differently, so that another text would be explained.
    """
    around = tokenizer("")["input_ids"]
    inner = list(ids)
    for special in around:
        inner = inner[1:] if inner and inner[0] == special else inner
    for special in reversed(around):
        inner = inner[:-1] if inner and inner[-1] == special else inner
    text: str = tokenizer.decode(inner, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if tokenizer(text)["input_ids"] not in (ids, [*around[:1], *ids], [*around[:1], *ids, *around[1:]]):
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
    if isinstance(targets, str) or (isinstance(targets, int) and not isinstance(targets, bool)):
        targets = [targets]
    if isinstance(targets, Tensor) and targets.ndim == 0:
        targets = targets[None]
    if not isinstance(targets, Iterable):
        raise InputError(f"targets is {targets!r}; classes, one or more for each text, were expected.")
    rows = [_class_row(one) for one in targets]
    if len(rows) != count:
        raise InputError(
            f"{len(rows)} rows of targets were given for {count} texts; one for each was expected, such as "
            f"torch.tensor([[0, 1]]) for one text."
        )
    return rows


def chosen_targets(targets: Any) -> list[Any]:
    """Classes by number or name, or next tokens, which are meant for all texts.

    Args:
        targets: one, or several in a list, tuple or tensor.

    Raises:
        InputError: one is neither a whole number nor a string.
    """
    if isinstance(targets, str | int):
        return _class_row(targets)
    if not isinstance(targets, Iterable):
        raise InputError(f"targets is {targets!r}; classes by number or name were expected, such as [0, 2].")
    return [one for row in (targets.reshape(-1) if isinstance(targets, Tensor) else targets) for one in _class_row(row)]


def _class_row(row: Any) -> list[Any]:
    if isinstance(row, str):
        return [row]
    if isinstance(row, list | tuple) and all(isinstance(one, str) for one in row):
        return list(row)
    try:
        values = torch.as_tensor(row)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the targets of a text are {row!r}; numbers of classes were expected.") from error
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
    given = [text for one in _several(targets) for text in _continuations(one, tokenizer)]
    if len(given) != count:
        raise InputError(f"{len(given)} targets were given for {count} texts; one for each was expected.")
    return given


def _continuations(one: Any, tokenizer: Any) -> list[str]:
    """A continuation set off by a space, or those that token ids stand for, as they are."""
    if isinstance(one, str):
        return [one if one.startswith((" ", "\n")) else f" {one}"]
    if isinstance(one, Mapping) and "input_ids" in one:
        one = one["input_ids"]
    elif not isinstance(one, Tensor) or one.is_floating_point():
        raise InputError(f"a target is {type(one).__name__}; a continuation or its token ids were expected.")
    return [_continuation_of(row, tokenizer) for row in _rows(one)]


def _continuation_of(ids: list[int], tokenizer: Any) -> str:
    """The continuation of token ids.

    Raises:
        InputError: it would be tokenised differently.
    """
    text: str = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    for own in (f" {text}", text):
        if tokenizer(own, add_special_tokens=False)["input_ids"] == ids:
            return own
    raise InputError(f"the token ids of {text[:80]!r} do not come back from their text; give the continuation itself.")
