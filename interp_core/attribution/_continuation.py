"""Targets of a generator: the tokens of a continuation, or the next token."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from interp_core.attribution._contrast import Contrast, check_contrast
from interp_core.errors import InputError, TargetError, UnsupportedError
from interp_core.model import GENERATORS, Target, WrappedModel, at_rest
from interp_core.results import Cost
from interp_core.text import Encoded, Encoder, Granularity, Text, divide


def continued(model: WrappedModel, prompt: Text, continuation: str | None, max_new_tokens: int, cost: Cost) -> Encoded:
    """Encode a prompt followed by a continuation.

    Args:
        model: the generator.
        prompt: the prompt.
        continuation: the continuation; None for the model's own, by greedy decoding.
        max_new_tokens: the maximum number of tokens to generate.
        cost: counts the passes of the generation.

    Returns:
        Prompt and continuation, without end-of-text tokens.

    Raises:
        InputError: the continuation is empty, or the model accepts no more tokens.
        UnsupportedError: the model cannot generate.

    Examples:
        >>> from interp_core.attribution import continued
        >>> from interp_core.results import Cost
        >>> from interp_core.testing import tiny_generator
        >>> whole = continued(tiny_generator(), "i feel", None, max_new_tokens=3, cost=Cost())
        >>> whole.text.startswith("i feel"), len(whole) - whole.prompt
        (True, 3)
    """
    if continuation is not None:
        return model.encoder.with_continuation(prompt, continuation)
    if not callable(getattr(model.model, "generate", None)):
        raise UnsupportedError(
            f"{type(model.model).__name__} has no generate, so it cannot continue the prompt; give a continuation in "
            "targets=."
        )
    ids = model.encoder.prompt_ids(prompt)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; at least 1 is needed.")
    two_stacks = model.encoder.start_id is not None
    taken = 1 if two_stacks else len(ids)  # tokens before the first new one, in the stack that generates
    room = min(max_new_tokens, model.max_tokens - taken)
    if room < 1 or len(ids) > model.max_tokens:
        raise InputError(
            f"the prompt has {len(ids)} tokens; this model takes {model.max_tokens}, so nothing can follow. Shorten it."
        )
    input_ids = torch.tensor([ids], device=model.device)
    model.embeddings.check(input_ids)
    with model.lock, torch.no_grad(), at_rest(model.model):
        generated = model.model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=room,
            do_sample=False,
            num_beams=1,
            pad_token_id=model.pad_id,
        )
    new: list[int] = generated[0, taken:].tolist()
    cost.forwards += len(new)
    cost.rows += len(new)
    cost.tokens += len(ids) + len(new)
    ends = _end_ids(model)
    while len(new) > 1 and new[-1] in ends:
        new.pop()
    return model.encoder.with_ids(prompt, new)


def _end_ids(model: WrappedModel) -> set[int]:
    """The ids that end a text: those of the model's generation settings, which may be several, and the tokenizer's."""
    configured = getattr(getattr(model.model, "generation_config", None), "eos_token_id", None)
    several = configured if isinstance(configured, list) else [configured]
    return {int(i) for i in (*several, model.tokenizer.eos_token_id) if i is not None}


def token_targets(model: WrappedModel, encoded: Encoded, output: Granularity = "token") -> tuple[Target, ...]:
    """A target for each token of the continuation, or for each unit of it.

    Args:
        model: the generator.
        encoded: prompt and continuation.
        output: how the tokens are grouped: `"token"`, or any granularity; `"sample"` for the whole continuation.

    Returns:
        The targets, in order.

    Raises:
        InputError: the continuation has no token to explain.
    """
    ids = encoded.ids.tolist()
    labels = [encoded.text[start:stop] for start, stop in encoded.offsets.tolist()]
    own = [i for i in range(encoded.prompt, len(encoded)) if not bool(encoded.special[i])]
    if not own:
        raise InputError("the continuation has no token to explain; the model ends at once. Give one.")
    single = {i: Target(_label(model.tokenizer, ids[i], labels[i]), ids[i], position=i) for i in own}
    if output == "token":
        return tuple(single.values())
    try:
        divided = divide(encoded, output)
    except InputError as error:
        raise InputError(str(error).replace("granularity", "output", 1)) from None
    groups: dict[int, list[Target]] = {}
    for i, target in single.items():
        groups.setdefault(int(divided.unit_of[i]), []).append(target)
    named = {number: divided.units[number].text for number in groups if number >= 0}
    return tuple(Target(named.get(n, parts[0].label), parts=tuple(parts)) for n, parts in groups.items())


def next_token_targets(model: WrappedModel, encoded: Encoded, want: Any) -> tuple[Target, ...]:
    """Resolve the target that a caller names for the token after a prompt.

    Args:
        model: the generator.
        encoded: the prompt.
        want: a word that is one token, the id of a token, a `Contrast` of two of these, a function of the logits, or a
            `Target`.

    Returns:
        One target, at the position after the last token of the prompt.

    Raises:
        TargetError: a word is not exactly one token, an id is out of range, or `want` is none of these.

    Examples:
        >>> from interp_core.attribution import next_token_targets
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> prompt = model.encoder.prompt("i feel so")
        >>> (target,) = next_token_targets(model, prompt, interp.contrast("happy", "sad"))
        >>> target.label
        'happy - sad'
        >>> target.position == len(prompt)
        True
    """
    return (token_target(model, len(encoded), want),)


def token_target(model: WrappedModel, position: int, target_spec: Any, last: int | None = None) -> Target:
    """The target that a caller means by a question about the token at a position.

    Args:
        model: a generator or a masked language model.
        position: where the token is, or will be.
        target_spec: a word that is one token, the id of a token, a `Contrast` of two of these, a function of the
            logits, or a `Target`.
        last: the last position that a `Target` may be of; the position by default.

    Raises:
        TargetError: a word that is not exactly one token, an id or a position out of range, or none of these.
    """
    if isinstance(target_spec, Target):
        whole = target_spec if target_spec.positions else replace(target_spec, position=position)
        first, last = int(model.head in GENERATORS), position if last is None else last
        for part in whole.parts or (whole,):
            if part.position is None or not first <= part.position <= last:
                raise TargetError(
                    f"target {part.label!r} is of position {part.position}; one from {first} to {last} was expected."
                )
            for index in (part.index, part.against):
                if part.function is None and index is not None:
                    _one_token(model.encoder, index)
        return whole
    if isinstance(target_spec, Contrast):
        chosen, other = (_one_token(model.encoder, t) for t in (target_spec.chosen, target_spec.other))
        check_contrast(chosen, other, target_spec)
        return Target(f"{target_spec.chosen} - {target_spec.other}", chosen, position, other)
    if callable(target_spec):
        return function_target(target_spec, position)
    index = _one_token(model.encoder, target_spec)
    label = target_spec if isinstance(target_spec, str) else _label(model.tokenizer, index)
    return Target(label, index, position)


def function_target(function: Any, position: int | None = None) -> Target:
    """The target of a score of the caller's own, also of an object that cannot be hashed, which targets are."""
    name = getattr(function, "__name__", "function")
    hashable = isinstance(function, Hashable)
    return Target(name, position=position, function=function if hashable else partial(function))


def _label(tokenizer: Any, index: int, text: str = "") -> str:
    """What a token says; of one that has no characters of its own its piece, and of the unknown token that it is."""
    label: str = text or tokenizer.decode([index])
    piece = str(tokenizer.convert_ids_to_tokens(index))
    if index == tokenizer.unk_token_id and label != piece:
        return f"{label} ({piece})"
    return piece if "\ufffd" in label else label


def _one_token(encoder: Encoder, word: Any) -> int:
    if isinstance(word, int) and not isinstance(word, bool):
        if not 0 <= word < len(encoder.tokenizer):
            raise TargetError(f"token {word} is out of range: this tokenizer has {len(encoder.tokenizer)}.")
        return word
    if not isinstance(word, str):
        raise TargetError(f"target {word!r} is neither a word nor the id of a token.")
    tokenizer: Any = encoder.tokenizer
    ids: Any = tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
    if len(ids) != 1:
        spaced = f" {word}"
        one = word.strip() and len(tokenizer(spaced, add_special_tokens=False, verbose=False)["input_ids"]) == 1
        pieces = tokenizer.convert_ids_to_tokens(ids)
        hint = f" {spaced!r}, with a leading space, is one." if one else ""
        raise TargetError(f"{word!r} is {len(ids)} tokens ({pieces}); exactly one was expected.{hint}")
    if ids[0] == tokenizer.unk_token_id and word.strip() != tokenizer.unk_token:
        raise TargetError(f"{word!r} is not in the vocabulary: the tokenizer reads it as {tokenizer.unk_token}.")
    return int(ids[0])
