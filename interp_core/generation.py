"""What a generator is asked about: the tokens of a continuation, or which of two tokens comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from interp_core.encoding import Encoder
from interp_core.errors import InputError, TargetError
from interp_core.hooks import at_rest
from interp_core.model import TextModel
from interp_core.provenance import Cost
from interp_core.targets import Contrast, Target
from interp_core.text import Encoded


def continued(model: TextModel, prompt: str, continuation: str | None, max_new_tokens: int, cost: Cost) -> Encoded:
    """The prompt followed by the continuation given, or else by the model's own greedy one.

    Raises:
        InputError: no room for a continuation, or the model ends at once.
    """
    if continuation is not None:
        return model.encoder.with_continuation(prompt, continuation)
    ids = model.encoder.prompt_ids(prompt)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; at least 1 is needed.")
    room = min(max_new_tokens, model.max_tokens - len(ids))
    if room < 1:
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
    new: list[int] = found[0, len(ids) :].tolist()
    cost.forwards += len(new)
    cost.rows += len(new)
    cost.tokens += len(ids) + len(new)
    ends = _end_ids(model)
    while len(new) > 1 and new[-1] in ends:
        new.pop()
    return model.encoder.with_ids(prompt, new)


def _end_ids(model: TextModel) -> set[int]:
    """The ids that end a text: those of the tokenizer and of the model's own settings, which may name several."""
    found = getattr(getattr(model.model, "generation_config", None), "eos_token_id", None)
    several = found if isinstance(found, list) else [found]
    return {int(i) for i in (*several, model.tokenizer.eos_token_id) if i is not None}


def token_targets(model: TextModel, encoded: Encoded) -> tuple[Target, ...]:
    """A target for each token of the continuation."""
    ids = encoded.ids.tolist()
    labels = [encoded.text[start:stop] for start, stop in encoded.offsets.tolist()]
    return tuple(
        Target(labels[i] or model.tokenizer.decode([ids[i]]), ids[i], position=i)
        for i in range(encoded.prompt, len(encoded))
    )


def next_token_targets(model: TextModel, encoded: Encoded, want: Contrast | Target | str) -> tuple[Target, ...]:
    """A target for the token that follows a prompt: a word that is one token, or the contrast of two such."""
    place = len(encoded)
    if isinstance(want, Target):
        return (want if want.position is not None else Target(want.label, want.index, place, want.against),)
    if isinstance(want, str):
        return (Target(want, _one_token(model.encoder, want), place),)
    chosen, other = (t if isinstance(t, int) else _one_token(model.encoder, t) for t in (want.chosen, want.other))
    return (Target(f"{want.chosen} - {want.other}", chosen, place, other),)


def as_prompt(encoded: Encoded) -> Encoded:
    """The text without the special tokens that would close it, so that something can follow."""
    count = len(encoded)
    while count > 1 and bool(encoded.special[count - 1]):
        count -= 1
    return replace(
        encoded,
        ids=encoded.ids[:count],
        offsets=encoded.offsets[:count],
        special=encoded.special[:count],
        unit_of=None if encoded.unit_of is None else encoded.unit_of[:count],
        prompt=count,
    )


def _one_token(encoder: Encoder, word: str) -> int:
    found: Any = encoder.tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
    if len(found) != 1:
        pieces = encoder.tokenizer.convert_ids_to_tokens(found)
        raise TargetError(
            f"{word!r} is {len(found)} tokens ({pieces}); a next token is one. A leading space often makes it one."
        )
    return int(found[0])
