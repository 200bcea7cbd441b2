"""What a generator is asked about: the tokens of a continuation, or which of two tokens comes next."""

from __future__ import annotations

from typing import Any

import torch
from interp_core.attribution._target_spec import Contrast
from interp_core.errors import InputError, TargetError
from interp_core.model import Target, WrappedModel, at_rest
from interp_core.results import Cost
from interp_core.text import Encoded, Encoder, Granularity, Text, divide


def continued(model: WrappedModel, prompt: Text, continuation: str | None, max_new_tokens: int, cost: Cost) -> Encoded:
    """The prompt followed by the continuation given, or else by the model's own greedy one.

    Raises:
        InputError: no room for a continuation, or the model ends at once.
    """
    if continuation is not None:
        return model.encoder.with_continuation(prompt, continuation)
    ids = model.encoder.prompt_ids(prompt)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; at least 1 is needed.")
    two_stacks = model.encoder.start_id is not None
    taken = 1 if two_stacks else len(ids)  # what stands before the first new token, in the stack that writes it
    room = min(max_new_tokens, model.max_tokens - taken)
    if room < 1 or len(ids) > model.max_tokens:
        raise InputError(
            f"the prompt has {len(ids)} tokens; this model takes {model.max_tokens}, so nothing can follow. Shorten it."
        )
    given = torch.tensor([ids], device=model.device)
    with torch.no_grad(), at_rest(model.model):
        found = model.model.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=room,
            do_sample=False,
            num_beams=1,
            pad_token_id=model.pad_id,
        )
    new: list[int] = found[0, taken:].tolist()
    cost.forwards += len(new)
    cost.rows += len(new)
    cost.tokens += len(ids) + len(new)
    ends = _end_ids(model)
    while len(new) > 1 and new[-1] in ends:
        new.pop()
    return model.encoder.with_ids(prompt, new)


def _end_ids(model: WrappedModel) -> set[int]:
    """The ids that end a text: those of the tokenizer and of the model's own settings, which may name several."""
    found = getattr(getattr(model.model, "generation_config", None), "eos_token_id", None)
    several = found if isinstance(found, list) else [found]
    return {int(i) for i in (*several, model.tokenizer.eos_token_id) if i is not None}


def token_targets(model: WrappedModel, encoded: Encoded, output: Granularity = "token") -> tuple[Target, ...]:
    """A target for each token of the continuation, or for each unit of it.

    Args:
        model: the generator.
        encoded: prompt and continuation.
        output: how the tokens are grouped: `"token"`, or any granularity, `"sample"` for the whole continuation.

    Raises:
        InputError: the continuation has no token to explain.
    """
    ids = encoded.ids.tolist()
    labels = [encoded.text[start:stop] for start, stop in encoded.offsets.tolist()]
    own = [i for i in range(encoded.prompt, len(encoded)) if not bool(encoded.special[i])]
    if not own:
        raise InputError("the continuation has no token to explain; the model ends at once. Give one.")
    single = {i: Target(labels[i] or model.tokenizer.decode([ids[i]]), ids[i], position=i) for i in own}
    if output == "token":
        return tuple(single.values())
    divided = divide(encoded, output)
    groups: dict[int, list[Target]] = {}
    for i, target in single.items():
        groups.setdefault(int(divided.unit_of[i]), []).append(target)
    named = {number: divided.units[number].text for number in groups if number >= 0}
    return tuple(Target(named.get(n, parts[0].label), parts=tuple(parts)) for n, parts in groups.items())


def next_token_targets(model: WrappedModel, encoded: Encoded, want: Any) -> tuple[Target, ...]:
    """A target for the token that follows a prompt: a word that is one token, the contrast of two such, or a function
    of the logits.
    """
    return (token_target(model, len(encoded), want),)


def token_target(model: WrappedModel, place: int, want: Any) -> Target:
    """What is asked about the token at a place: a word that is one token, its id, a contrast of two, a function of the
    logits, or a `Target`.

    Raises:
        TargetError: something else.
    """
    if isinstance(want, Target):
        return want if want.positions else Target(want.label, want.index, place, want.against, want.function)
    if isinstance(want, Contrast):
        chosen, other = (_one_token(model.encoder, t) for t in (want.chosen, want.other))
        return Target(f"{want.chosen} - {want.other}", chosen, place, other)
    if callable(want):
        return Target(getattr(want, "__name__", "function"), position=place, function=want)
    index = _one_token(model.encoder, want)
    return Target(want if isinstance(want, str) else model.tokenizer.decode([index]), index, place)


def _one_token(encoder: Encoder, word: Any) -> int:
    if isinstance(word, int) and not isinstance(word, bool):
        if not 0 <= word < len(encoder.tokenizer):
            raise TargetError(f"token {word} is out of range: this tokenizer has {len(encoder.tokenizer)}.")
        return word
    if not isinstance(word, str):
        raise TargetError(f"target {word!r} is neither a word nor the id of a token.")
    found: Any = encoder.tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
    if len(found) != 1:
        pieces = encoder.tokenizer.convert_ids_to_tokens(found)
        raise TargetError(
            f"{word!r} is {len(found)} tokens ({pieces}); a next token is one. A leading space often makes it one."
        )
    return int(found[0])
