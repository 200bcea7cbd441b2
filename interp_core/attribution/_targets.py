"""From what a caller wants to know to targets, for each kind of head; nothing after this knows the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from interp_core.attribution._continuation import continued, next_token_targets, token_target, token_targets
from interp_core.attribution._options import Options
from interp_core.attribution._target_spec import At, Contrast, class_targets
from interp_core.errors import InputError, TargetError, UnsupportedError
from interp_core.model import (
    CLASSIFIERS,
    GENERATORS,
    BatchRunner,
    GeneratorRows,
    Head,
    ModelRequest,
    Target,
    TextRows,
    WrappedModel,
    whole_text,
)
from interp_core.text import DividedText, Encoded, Text, asks_prediction, class_index, divide, one_each, per_text
from jaxtyping import Float
from torch import Tensor

ResolvedText = tuple[Encoded, tuple[Target, ...], Tensor | None]  # the logits of the intact text, of a classifier
OUTSIDE = "O"  # the tag of what is nothing, in every common scheme


class TargetResolver:
    """Turns texts and targets of one run into what the model is asked."""

    def __init__(self, model: WrappedModel, batch_runner: BatchRunner, options: Options) -> None:
        self.model, self.batch_runner, self.options = model, batch_runner, options

    def resolve(self, texts: Sequence[Text], targets: Any) -> list[ResolvedText]:
        """Each text as ids with its targets.

        Raises:
            InputError: a text or target that cannot be used.
            UnsupportedError: the model has a head of another kind.
        """
        head = self.model.head
        if self.model.encoder.start_id is not None and head not in GENERATORS:
            raise UnsupportedError(
                f"{self.model.name} has two stacks and is no generator; such heads are not explained."
            )
        if head in CLASSIFIERS:
            return self._classified(texts, targets)
        wanted = one_each(targets, texts)
        if head in GENERATORS:
            return [self._generated(text, want) for text, want in zip(texts, wanted, strict=True)]
        kinds: dict[Head, Callable[[Encoded, Any, Tensor], tuple[Target, ...]]] = {
            "masked": self._filled,
            "tokens": self._tagged,
            "span": self._answered,
        }
        if head not in kinds:
            raise UnsupportedError(
                f"{self.model.name} gives no logits of classes, tags, spans or tokens, so there is nothing to explain; "
                "load it with a head, such as task='SequenceClassification'."
            )
        encoded = [self.model.encoder(text) for text in texts]
        logits = self._logits([(e, self._gaps(e) if head == "masked" else ()) for e in encoded])
        return [(e, kinds[head](e, w, found), None) for e, w, found in zip(encoded, wanted, logits, strict=True)]

    def _classified(self, texts: Sequence[Text], targets: Any) -> list[ResolvedText]:
        wanted = per_text(targets, texts)
        encoded = [self.model.encoder(text) for text in texts]
        known: list[Any] = [None] * len(texts)
        if asks_prediction(wanted):
            requests = [ModelRequest(torch.tensor([len(e)]), whole_text(e)) for e in encoded]
            known = [answer.logits[0].float().cpu() for answer in self.batch_runner.run(requests)]
        labels, head = self.model.labels, self.model.head
        return [
            (e, class_targets(want, labels, head, logits), logits)
            for e, want, logits in zip(encoded, wanted, known, strict=True)
        ]

    def _generated(self, prompt: Text, want: Any) -> ResolvedText:
        if want is None or (isinstance(want, str) and want != "all"):
            encoded = continued(self.model, prompt, want, self.options.max_new_tokens, self.batch_runner.cost)
            return encoded, token_targets(self.model, encoded, self.options.output), None
        if isinstance(want, str):
            raise TargetError(
                "a generator has no classes, so 'all' means nothing; give the continuation, or leave targets out."
            )
        several = want if isinstance(want, tuple | list) else [want]
        if not several or not all(isinstance(w, Contrast | Target) or callable(w) for w in several):
            raise TargetError(
                f"target {want!r}: for a generator give None, a continuation, interp.contrast of two next tokens, or a "
                "function of the next token's logits; a tuple of the last two for several."
            )
        encoded = self.model.encoder.prompt(prompt)
        if len(encoded) > self.model.max_tokens:
            over = len(encoded) - self.model.max_tokens
            raise InputError(f"the prompt has {over} tokens more than the model takes; shorten it.")
        return encoded, tuple(t for w in several for t in next_token_targets(self.model, encoded, w)), None

    def _gaps(self, encoded: Encoded) -> tuple[int, ...]:
        gaps = (encoded.ids == self.model.tokenizer.mask_token_id).nonzero().flatten().tolist()
        if not gaps:
            raise InputError(
                f"the text has no {self.model.tokenizer.mask_token}; put it where a word is to be guessed."
            )
        return tuple(gaps)

    def _filled(self, encoded: Encoded, want: Any, logits: Float[Tensor, "m v"]) -> tuple[Target, ...]:
        """Of a masked language model: what stands in the gaps."""
        gaps = self._gaps(encoded)
        several = list(want) if isinstance(want, tuple | list) else [want]
        if want is None:
            several = logits[: len(gaps)].argmax(-1).tolist()
        elif len(gaps) > 1 and len(several) != len(gaps):
            raise TargetError(
                f"the text has {len(gaps)} gaps; give a tuple of {len(gaps)} words, or leave targets out."
            )
        places = gaps if len(gaps) > 1 else gaps * len(several)
        return tuple(token_target(self.model, g, w) for g, w in zip(places, several, strict=True))

    def _tagged(self, encoded: Encoded, want: Any, logits: Float[Tensor, "t v"]) -> tuple[Target, ...]:
        """Of a model that labels tokens: a word has the label of its first token."""
        words, best, tags = divide(encoded, "word"), logits.argmax(-1), self.model.tags
        firsts = _first_tokens(words)
        if want is None or (isinstance(want, str) and want == "all"):
            told = [u for u, i in enumerate(firsts) if want == "all" or tags[int(best[i])] != OUTSIDE]
            return tuple(
                _tag(words.units[u].text, tags, int(best[firsts[u]]), firsts[u]) for u in told or range(len(firsts))
            )
        several = want if isinstance(want, tuple | list) else [want]
        if not several or not all(isinstance(w, At) for w in several):
            raise TargetError(f"target {want!r}: for a model that labels tokens give interp.at(word, label), or None.")
        return tuple(self._at(words, w, best) for w in several)

    def _at(self, words: DividedText, want: At, best: Tensor) -> Target:
        start, stop = _place(words.text, want.where)
        inside = [u for u, unit in enumerate(words.units) if unit.start < stop and start < unit.stop]
        if not inside:
            raise TargetError(f"no token of the text is within characters [{start}, {stop}).")
        firsts, tags = _first_tokens(words), self.model.tags
        labels = [int(best[firsts[u]]) if want.label is None else want.label for u in inside]
        named = zip(inside, labels, strict=True)
        parts = tuple(_tag(words.units[u].text, tags, label, firsts[u]) for u, label in named)
        if len(parts) == 1:
            return parts[0]
        return Target(f"{words.text[start:stop]}: {parts[0].label.split(': ')[-1]}", parts=parts)

    def _answered(self, encoded: Encoded, want: Any, logits: Float[Tensor, "2 t"]) -> tuple[Target, ...]:
        """Of a model that extracts an answer: where it starts and stops, together one target."""
        if not encoded.borders or encoded.turns:
            raise InputError("a model that extracts an answer needs pairs (question, context); a text was given.")
        context = encoded.borders[-1]
        inside = (~encoded.special & (encoded.offsets[:, 0] >= context)).nonzero().flatten()
        if want is None:
            start, stop = _best_span(logits[:, inside])
        elif isinstance(want, str):
            begin = encoded.text.find(want, context)
            if begin < 0:
                raise TargetError(f"the answer {want!r} is not in the context.")
            near = encoded.offsets[inside]
            held = ((near[:, 0] < begin + len(want)) & (near[:, 1] > begin)).nonzero().flatten()
            if not len(held):
                raise TargetError(f"the answer {want!r} is empty, or in what was cut off.")
            start, stop = int(held[0]), int(held[-1])
        else:
            raise TargetError(f"target {want!r}: give the answer as it stands in the context, or None for the model's.")
        first, last = int(inside[start]), int(inside[stop])
        label = encoded.text[int(encoded.offsets[first, 0]) : int(encoded.offsets[last, 1])]
        return (Target(label, parts=(Target("start", first, 0), Target("stop", last, 1))),)

    def _logits(self, asked: Sequence[tuple[Encoded, tuple[int, ...]]]) -> list[Tensor]:
        """The logits of each token of each text, or of some positions."""
        requests = [
            ModelRequest(torch.tensor([len(e)]), partial(_whole, e, positions), logits=True) for e, positions in asked
        ]
        return [answer.logits[0].float().cpu() for answer in self.batch_runner.run(requests)]


def _whole(encoded: Encoded, positions: tuple[int, ...], rows: Tensor) -> TextRows:
    block = whole_text(encoded)(rows)
    return GeneratorRows(**vars(block), positions=positions) if positions else block


def _first_tokens(words: DividedText) -> list[int]:
    return [int((words.unit_of == u).nonzero()[0]) for u in range(len(words.units))]


def _tag(word: str, tags: Sequence[str], label: Any, place: int) -> Target:
    if isinstance(label, Contrast):
        chosen, other = (class_index(t, tags) for t in (label.chosen, label.other))
        return Target(f"{word}: {tags[chosen]} - {tags[other]}", chosen, place, other)
    index = class_index(label, tags)
    return Target(f"{word}: {tags[index]}", index, place)


def _place(text: str, where: str | tuple[int, int]) -> tuple[int, int]:
    if isinstance(where, tuple):
        return where
    start = text.find(where)
    if start < 0:
        raise TargetError(f"{where!r} is not in the text.")
    return start, start + len(where)


def _best_span(logits: Tensor, longest: int = 30) -> tuple[int, int]:
    """The start and stop, in this order and not too far apart, whose logits add up to most."""
    total = logits[0][:, None] + logits[1][None, :]
    steps = torch.arange(total.shape[0])
    ahead = steps[None, :] - steps[:, None]
    best = int(total.masked_fill((ahead < 0) | (ahead >= longest), -torch.inf).argmax())
    return best // len(steps), best % len(steps)
