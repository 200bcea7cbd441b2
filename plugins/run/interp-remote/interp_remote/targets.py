"""What a caller can give as targets of a served model, and what is meant."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from interp_core.attribution import Contrast, Options, TargetResolver
from interp_core.errors import InputError, InterpError, TargetError, UnsupportedError
from interp_core.model import Target
from interp_core.text import Encoded, Encoder, Text, divide
from torch import Tensor

from interp_remote.asker import Asker
from interp_remote.reply import Reply

NO_LIMIT = 1_000_000  # tokens; the server says when a prompt is too long


class RemoteTargets(TargetResolver):
    """Turns texts and targets into the tokens that a server reads, and targets among them.

    Examples:
        >>> from interp_core.attribution import TargetResolver
        >>> from interp_remote.targets import RemoteTargets
        >>> issubclass(RemoteTargets, TargetResolver)
        True
    """

    def __init__(self, model: Any, asker: Asker, options: Options, attempts: Any) -> None:
        self.model, self.batch_runner = model, cast(Any, asker)
        self.options, self.attempts, self.asker = options, attempts, asker

    def resolve(self, texts: Sequence[Text], targets: Any, *, answers: bool = False) -> list[Any]:
        """Each text with its targets, see `TargetResolver.resolve`. What all texts need is asked together, in two
        rounds: continuations, and their tokens.
        """
        each = targets if isinstance(targets, list) and len(targets) == len(texts) else [targets] * len(texts)
        with contextlib.suppress(InterpError):  # which is raised again for the text that it is about
            written = [text for text, target in zip(texts, each, strict=True) if target is None]
            prompts = {id(text): str(self._prompt(text).text) for text in texts}
            ends = iter(self.asker.written([prompts[id(text)] for text in written], self.options.max_new_tokens))
            wholes = [
                prompts[id(text)] + (next(ends)[0] if target is None else target)
                for text, target in zip(texts, each, strict=True)
                if target is None or isinstance(target, str)
            ]
            self.asker.run([tuple(wholes)])
        return super().resolve(texts, targets, answers=answers)

    def _generated(self, prompt: Text, target_spec: Any) -> tuple[Encoded, tuple[Target, ...], Tensor | None]:
        encoded = self._prompt(prompt)
        specs = target_spec if isinstance(target_spec, tuple) else (target_spec,)
        if specs and all(isinstance(spec, Contrast) for spec in specs):
            return self._compared(encoded, specs)
        if target_spec is not None and (not isinstance(target_spec, str) or target_spec == "all"):
            raise TargetError(
                f"target {target_spec!r}: for a served model give None, the continuation, or interp.contrast of two "
                "(a tuple of these for several). Functions of logits and targets by number are for models that are "
                "here: a server says log-probabilities of the tokens of a text alone."
            )
        text, after = str(encoded.text), target_spec
        tokens: list[str] = []
        if after is None:
            ((after, tokens),) = self.asker.written([text], self.options.max_new_tokens)
        if not after:
            raise InputError("the continuation is empty: the model ends at once. Give one in targets=.")
        ((reply,),) = self.asker.run([(text + after,)])
        if (
            tokens
            and "".join(tokens) == after
            and tokens != [reply.text[a:b] for a, b in reply.pieces if b > len(text)]
        ):
            self.asker.rewritten.add(reply.text)
        whole = _tokenised(replace(encoded, text=_joined(encoded.text, after)), reply, len(text))
        return whole, _token_targets(whole, self.options.output), None

    def _compared(self, encoded: Encoded, specs: Sequence[Any]) -> tuple[Encoded, tuple[Target, ...], Tensor | None]:
        """The prompt alone, with what is compared after it as parts of the targets."""
        for spec in specs:
            words = spec.chosen, spec.other
            if not all(isinstance(word, str) and word for word in words) or spec.chosen == spec.other:
                raise TargetError(
                    f"the contrast of {spec.chosen!r} with {spec.other!r}: for a served model give two different "
                    "continuations as strings, as a rule with a space in front."
                )
        text = str(encoded.text)
        ((reply, *_),) = self.asker.run([tuple(text + word for spec in specs for word in (spec.chosen, spec.other))])
        prompt = _tokenised(encoded, replace(reply, **_cut(reply, len(text))), len(text))
        place = len(prompt)
        return prompt, tuple(_contrast(spec, place) for spec in specs), None

    def _prompt(self, text: Text) -> Encoded:
        """A prompt as it is sent: without tokens, which only the server knows.

        Raises:
            InputError: it is empty, or neither a string nor a chat.
            UnsupportedError: it is a chat, and there is no tokenizer to write it with.
        """
        if isinstance(text, str) and not hasattr(text, "given"):
            if not text.strip():
                raise InputError("a text is empty; there is nothing to explain in it.")
            none = torch.zeros(0, dtype=torch.long)
            return Encoded(text, none, none.reshape(0, 2), none.bool())
        tokenizer = self.model.tokenizer
        if tokenizer is None:
            raise UnsupportedError(
                "a server of completions takes a string, and a chat becomes one by the chat template of its model; "
                "give RemoteModel(…, tokenizer=…), such as AutoTokenizer.from_pretrained of the model that is served."
            )
        return Encoder(tokenizer, NO_LIMIT).prompt(text)


def _tokenised(encoded: Encoded, reply: Reply, edge: int) -> Encoded:
    """A text with the tokens that the server reads it as.

    Raises:
        InputError: a token reaches from the prompt into the continuation.
    """
    across = next((span for span in reply.spans if span[0] < edge < span[1]), None)
    if across is not None:
        raise InputError(
            f"the server reads {reply.text[slice(*across)]!r} as one token, which begins in the prompt and ends in the "
            "continuation. Let the prompt end without white space, and the continuation begin with it."
        )
    spans = torch.tensor(reply.spans).reshape(-1, 2)
    special = spans[:, 0] == spans[:, 1]
    if encoded.turns:
        said = encoded.offsets[~encoded.special]  # by the tokenizer that wrote the chat
        inside = ((spans[:, :1] < said[:, 1]) & (said[:, 0] < spans[:, 1:])).any(1)
        special |= ~(inside | (spans[:, 0] >= edge))
    pieces = [reply.text[a:b] for a, b in reply.spans]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return replace(
        encoded,
        ids=torch.tensor([numbers[piece] for piece in pieces]),  # of this text alone: the vocabulary is the server's
        offsets=spans,
        special=special,
        prompt=sum(stop <= edge for _, stop in reply.spans),
    )


def _cut(reply: Reply, edge: int) -> dict[str, Any]:
    """The tokens of the prompt alone, and of one that reaches beyond it."""
    count = sum(start < edge or start == stop == 0 for start, stop in reply.spans)
    return {"spans": reply.spans[:count], "logprobs": reply.logprobs[:count], "best": reply.best[:count]}


def _joined(text: Any, after: str) -> Any:
    given = getattr(text, "given", None)
    return str(text) + after if given is None else type(text)(str(text) + after, given)


def _contrast(spec: Contrast, place: int) -> Target:
    parts = tuple(Target(str(word), number, place) for number, word in enumerate((spec.chosen, spec.other)))
    return Target(f"{spec.chosen} - {spec.other}", 0, None, 1, parts=parts)


def _token_targets(encoded: Encoded, output: Any) -> tuple[Target, ...]:
    """A target for each token of the continuation, or for each unit of it."""
    own = [i for i in range(encoded.prompt, len(encoded)) if not bool(encoded.special[i])]
    text, ids = str(encoded.text), encoded.ids.tolist()
    single = {i: Target(text[slice(*encoded.offsets[i].tolist())], ids[i], i) for i in own}
    divided = divide(encoded, output)
    groups: dict[int, list[Target]] = {}
    for i, target in single.items():
        groups.setdefault(int(divided.unit_of[i]), []).append(target)
    return tuple(
        parts[0] if len(parts) == 1 and output == "token" else _group(divided.units[number].text, parts)
        for number, parts in groups.items()
        if number >= 0
    )


def _group(label: str, parts: list[Target]) -> Target:
    return Target(label, parts=tuple(parts))
