"""Resolution of `targets=` for each type of head; later code knows no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from interp_core.attribution._at import At
from interp_core.attribution._attempts import Attempts
from interp_core.attribution._continuation import (
    continued,
    function_target,
    next_token_targets,
    token_target,
    token_targets,
)
from interp_core.attribution._contrast import Contrast, check_contrast
from interp_core.attribution._options import Options
from interp_core.errors import InputError, InterpError, TargetError, UnsupportedError
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
    predicted,
    whole_text,
)
from interp_core.text import DividedText, Encoded, Text, class_index, divide
from jaxtyping import Float
from torch import Tensor

ResolvedText = tuple[Encoded, tuple[Target, ...], Tensor | None]  # for a classifier the logits of the text, if known
T = TypeVar("T")
OUTSIDE = "O"  # the tag of words outside of any entity, in every common tagging scheme


class TargetResolver:
    """Resolver of the texts and targets of a caller to encoded texts and `Target`s.

    Args:
        model: the model.
        batch_runner: runs the model where targets depend on its answer.
        options: the options of the run.
        attempts: handles the errors of texts; by default they are raised.

    Examples:
        >>> from interp_core.attribution import Options, Session, TargetResolver
        >>> from interp_core.testing import tiny_filler
        >>> session = Session(tiny_filler(), Options(progress=False))
        >>> resolver = TargetResolver(session.model, session.batch_runner, session.options)
        >>> ((encoded, targets, logits),) = resolver.resolve(["so [MASK] today"], "happy")
        >>> targets[0].label, targets[0].position
        ('happy', 2)
    """

    def __init__(
        self, model: WrappedModel, batch_runner: BatchRunner, options: Options, attempts: Attempts | None = None
    ) -> None:
        self.model, self.batch_runner, self.options = model, batch_runner, options
        self.attempts = Attempts() if attempts is None else attempts

    def resolve(self, texts: Sequence[Text], targets: Any, *, answers: bool = False) -> list[ResolvedText | None]:
        """Encode each text and resolve its targets.

        Args:
            texts: the texts, for a generator the prompts.
            targets: as in `attribute`.
            answers: also compute the logits of a classifier where the targets do not need them.

        Returns:
            For each text, in order: the encoded text, its targets, and the logits of a classifier if known; None for a
            text that is skipped.

        Raises:
            InputError: a text or target cannot be used.
            UnsupportedError: the head of the model has no output that can be explained.
        """
        head = self.model.head
        if head in CLASSIFIERS:
            return self._classified(texts, targets, answers)
        target_specs = _one_each(targets, texts)
        if head in GENERATORS:
            return self._each(self._generated, texts, target_specs)
        kinds: dict[Head, Callable[[Encoded, Any, Tensor], tuple[Target, ...]]] = {
            "masked": self._filled,
            "tokens": self._tagged,
            "span": self._answered,
        }
        if head not in kinds:
            raise UnsupportedError(
                f"{self.model.name} ({type(self.model.model).__name__}) gives no logits of classes, tags, spans or "
                "tokens, so there is nothing to explain; load it with a head, such as task='SequenceClassification'. "
                "What a module of your own must return stands in docs/own-model.md."
            )
        encoded = self._encoded(texts)
        requests = self._each(partial(self._request, gaps=head == "masked"), encoded)
        all_logits = self._logits(requests)
        resolve_one = kinds[head]
        columns = (encoded, target_specs, all_logits)
        return self._each(lambda e, spec, logits: (e, resolve_one(e, spec, logits), None), *columns)

    def later(self, texts: Sequence[Text]) -> list[ResolvedText | None]:
        """Encode each text without targets, which are found later."""
        return self._each(lambda encoded: (encoded, (), None), self._encoded(texts))

    def _classified(self, texts: Sequence[Text], targets: Any, answers: bool) -> list[ResolvedText | None]:
        target_specs, several = _per_text(targets, texts)
        encoded = self._encoded(texts)
        all_logits: list[Any] = [None] * len(texts)
        labels, head = self.model.labels, self.model.head
        if answers or asks_prediction(target_specs):
            requests = self._each(lambda e: ModelRequest(torch.tensor([len(e)]), whole_text(e)), encoded)
            all_logits = self._logits(requests)
        elif not several:  # a mistaken target is about no text
            class_targets(target_specs[0], labels, head, None)
        columns = (encoded, target_specs, all_logits)
        return self._each(lambda e, spec, logits: (e, class_targets(spec, labels, head, logits), logits), *columns)

    def _encoded(self, texts: Sequence[Text]) -> list[Encoded | None]:
        return self._each(lambda text: self.model.encoder(text, self.options.truncation), texts)

    def _each(self, function: Callable[..., T], *columns: Sequence[Any]) -> list[T | None]:
        """What a function gives for each text, from its value in each column; None where a text is skipped."""
        return [
            None if number in self.attempts.failed else self.attempts.of(number, function, *values)
            for number, values in enumerate(zip(*columns, strict=True))
        ]

    def _generated(self, prompt: Text, target_spec: Any) -> ResolvedText:
        if target_spec is None or (isinstance(target_spec, str) and target_spec != "all"):
            encoded = continued(self.model, prompt, target_spec, self.options.max_new_tokens, self.batch_runner.cost)
            return encoded, token_targets(self.model, encoded, self.options.output), None
        if isinstance(target_spec, str):
            raise TargetError(
                "a generator has no classes, so 'all' means nothing; give the continuation, or leave targets out."
            )
        specs = target_spec if isinstance(target_spec, tuple | list) else [target_spec]
        if not specs or not all(isinstance(spec, Contrast | Target) or callable(spec) for spec in specs):
            raise TargetError(
                f"target {target_spec!r}: for a generator give None, a continuation, interp.contrast of two next "
                "tokens, or a function of the next token's logits; a tuple of the last two for several."
            )
        encoded = self.model.encoder.prompt(prompt)
        if len(encoded) > self.model.max_tokens:
            over = len(encoded) - self.model.max_tokens
            raise InputError(f"the prompt has {over} tokens more than the model takes; shorten it.")
        return encoded, tuple(t for spec in specs for t in next_token_targets(self.model, encoded, spec)), None

    def _gaps(self, encoded: Encoded) -> tuple[int, ...]:
        mask_id = self.model.tokenizer.mask_token_id
        if mask_id is None:
            raise UnsupportedError(
                f"{self.model.name} predicts each token from those on both sides, so it fills gaps, and this tokenizer "
                "has no mask token to mark them with. Load a model of this family as a generator if it is one, such as "
                "with is_decoder=True, or give the tokenizer its mask token."
            )
        gaps = (encoded.ids == mask_id).nonzero().flatten().tolist()
        if not gaps:
            raise InputError(
                f"the text has no {self.model.tokenizer.mask_token}; put it where the model is to fill in a word."
            )
        return tuple(gaps)

    def _filled(self, encoded: Encoded, target_spec: Any, logits: Float[Tensor, "m v"]) -> tuple[Target, ...]:
        """The targets of a masked language model: the words in the gaps."""
        gaps = self._gaps(encoded)
        words = list(target_spec) if isinstance(target_spec, tuple | list) else [target_spec]
        if target_spec is None:
            words = logits[: len(gaps)].argmax(-1).tolist()
        elif len(gaps) > 1 and len(words) != len(gaps):
            raise TargetError(
                f"the text has {len(gaps)} gaps; give a tuple of {len(gaps)} words, or leave targets out."
            )
        places = gaps if len(gaps) > 1 else gaps * len(words)
        last = len(encoded) - 1
        return tuple(token_target(self.model, place, word, last) for place, word in zip(places, words, strict=True))

    def _tagged(self, encoded: Encoded, target_spec: Any, logits: Float[Tensor, "t v"]) -> tuple[Target, ...]:
        """The targets of a model that labels tokens. A word has the label of its first token."""
        words, best, tags = divide(encoded, "word"), logits.argmax(-1), self.model.tags
        firsts = _first_tokens(words)
        if target_spec is None or (isinstance(target_spec, str) and target_spec == "all"):
            tagged = [u for u, i in enumerate(firsts) if target_spec == "all" or tags[int(best[i])] != OUTSIDE]
            return tuple(
                _tag(words.units[u].text, tags, int(best[firsts[u]]), firsts[u]) for u in tagged or range(len(firsts))
            )
        specs = target_spec if isinstance(target_spec, tuple | list) else [target_spec]
        if not specs or not all(isinstance(spec, At) for spec in specs):
            raise TargetError(
                f"target {target_spec!r}: for a model that labels tokens give interp.at(word, label), or None."
            )
        return tuple(self._at(words, spec, best) for spec in specs)

    def _at(self, words: DividedText, target_spec: At, best: Tensor) -> Target:
        start, stop = _characters(words.text, target_spec.where)
        inside = [u for u, unit in enumerate(words.units) if unit.start < stop and start < unit.stop]
        if not inside:
            raise TargetError(f"no token of the text is within characters [{start}, {stop}).")
        firsts, tags = _first_tokens(words), self.model.tags
        labels = [int(best[firsts[u]]) if target_spec.label is None else target_spec.label for u in inside]
        named = zip(inside, labels, strict=True)
        parts = tuple(_tag(words.units[u].text, tags, label, firsts[u]) for u, label in named)
        if len(parts) == 1:
            return parts[0]
        own = [part.label.removeprefix(f"{words.units[u].text}: ") for part, u in zip(parts, inside, strict=True)]
        return Target(f"{words.text[start:stop]}: {' '.join(dict.fromkeys(own))}", parts=parts)

    def _answered(self, encoded: Encoded, answer: Any, logits: Float[Tensor, "2 t"]) -> tuple[Target, ...]:
        """The target of a model that extracts an answer: start and stop together."""
        if not encoded.borders or encoded.turns:
            raise InputError("a model that extracts an answer needs pairs (question, context); a text was given.")
        context = encoded.borders[-1]
        inside = (~encoded.special & (encoded.offsets[:, 0] >= context)).nonzero().flatten()
        if answer is None:
            start, stop = _best_span(logits[:, inside])
        elif isinstance(answer, str):
            begin = encoded.text.find(answer, context)
            if begin < 0:
                raise TargetError(f"the answer {answer!r} is not in the context.")
            offsets = encoded.offsets[inside]
            tokens = ((offsets[:, 0] < begin + len(answer)) & (offsets[:, 1] > begin)).nonzero().flatten()
            if not len(tokens):
                raise TargetError(f"the answer {answer!r} is empty, or in the part that was cut off.")
            start, stop = int(tokens[0]), int(tokens[-1])
        else:
            raise TargetError(
                f"target {answer!r}: give the answer as it is in the context, or None for the model's own."
            )
        first, last = int(inside[start]), int(inside[stop])
        label = encoded.text[int(encoded.offsets[first, 0]) : int(encoded.offsets[last, 1])]
        return (Target(label, parts=(Target("start", first, 0), Target("stop", last, 1))),)

    def _request(self, encoded: Encoded, gaps: bool) -> ModelRequest:
        """Asks for the logits of a text at its gaps, or else at every token."""
        positions = self._gaps(encoded) if gaps else ()
        return ModelRequest(torch.tensor([len(encoded)]), partial(_whole_text_at, encoded, positions), logits=True)

    def _logits(self, requests: Sequence[ModelRequest | None]) -> list[Tensor | None]:
        """The logits of each text; if the texts fail together, they are run one by one."""
        try:
            outputs = iter(self.batch_runner.run([request for request in requests if request is not None]))
            return [None if request is None else next(outputs).logits[0].float().cpu() for request in requests]
        except InterpError:
            return self._each(lambda request: self.batch_runner.run([request])[0].logits[0].float().cpu(), requests)


def _whole_text_at(encoded: Encoded, positions: tuple[int, ...], rows: Tensor) -> TextRows:
    text_rows = whole_text(encoded)(rows)
    return GeneratorRows(**vars(text_rows), positions=positions) if positions else text_rows


def _first_tokens(words: DividedText) -> list[int]:
    return [int((words.unit_of == u).nonzero()[0]) for u in range(len(words.units))]


def _tag(word: str, tags: Sequence[str], label: Any, position: int) -> Target:
    if isinstance(label, Contrast):
        chosen, other = (class_index(t, tags) for t in (label.chosen, label.other))
        check_contrast(chosen, other, label)
        return Target(f"{word}: {tags[chosen]} - {tags[other]}", chosen, position, other)
    index = class_index(label, tags)
    return Target(f"{word}: {tags[index]}", index, position)


def _characters(text: str, where: Any) -> tuple[int, int]:
    if isinstance(where, tuple) and len(where) == 2 and all(isinstance(edge, int) for edge in where):
        return where
    if not isinstance(where, str):
        raise TargetError(
            f"interp.at({where!r}, …): a word of the text, or its characters (start, stop), was expected."
        )
    start = text.find(where)
    if start < 0:
        raise TargetError(f"{where!r} is not in the text.")
    return start, start + len(where)


def _best_span(logits: Tensor, longest: int = 30) -> tuple[int, int]:
    """The start and stop with the largest sum of logits, in order and at most `longest` tokens long."""
    total = logits[0][:, None] + logits[1][None, :]
    tokens = torch.arange(total.shape[0])
    ahead = tokens[None, :] - tokens[:, None]
    best = int(total.masked_fill((ahead < 0) | (ahead >= longest), -torch.inf).argmax())
    return best // len(tokens), best % len(tokens)


def asks_prediction(wanted: Any) -> bool:
    """Whether the predicted class is among the targets, so that the text must be classified first."""
    if isinstance(wanted, list | tuple):
        return any(asks_prediction(target) for target in wanted)
    return wanted is None or (isinstance(wanted, str) and wanted == "predicted")


def as_list(targets: Any) -> Any:
    """Targets as a list, if they are a column of a table or data set; else as they are."""
    column = all(hasattr(targets, name) for name in ("__len__", "__getitem__", "__iter__"))
    if not column or isinstance(targets, str | list | tuple | Mapping | Tensor) or callable(targets):
        return targets
    return targets.tolist() if hasattr(targets, "tolist") else list(targets)


def each_has_own(targets: Any) -> bool:
    """Whether each text has classes of its own as its targets."""
    rows = targets.tolist() if hasattr(targets, "tolist") else targets
    return isinstance(rows, list | tuple) and bool(rows) and all(isinstance(row, list | tuple) for row in rows)


def _per_text(targets: Any, texts: Sequence[Any]) -> tuple[list[Any], bool]:
    """The targets of each text, for targets that are classes; and whether each text has its own."""
    rows = targets.tolist() if hasattr(targets, "tolist") else targets
    if each_has_own(targets):
        if len(rows) != len(texts):
            raise TargetError(f"{len(rows)} lists of targets were given for {len(texts)} texts; one each was expected.")
        return list(rows), True
    return [rows] * len(texts), False


def _one_each(targets: Any, texts: Sequence[Any]) -> list[Any]:
    """The targets of each text, for targets that are not classes, such as continuations."""
    if isinstance(targets, list):
        if len(targets) != len(texts):
            raise TargetError(
                f"{len(targets)} targets were given in a list for {len(texts)} texts; one each was expected. "
                "Use a tuple to give several for every text."
            )
        return list(targets)
    return [targets] * len(texts)


def class_targets(
    asked: Any, labels: Sequence[str], head: Head, logits: Float[Tensor, " v"] | None
) -> tuple[Target, ...]:
    """Resolve the targets that a caller names for a classifier.

    Args:
        asked: None or `"predicted"`, `"all"`, a class by name or number, a `Contrast`, a `Target`, a function of the
            logits, or a list of these.
        labels: the names of the v classes.
        head: the type of the classifier's head.
        logits: (v) the logits of the unchanged text; needed only for the predicted class.

    Returns:
        The targets, in order. A multi-label head may have several predicted classes.

    Raises:
        TargetError: a class does not exist, a contrast compares a class with itself, the list is empty, or the
            predicted class is asked for without logits.

    Examples:
        >>> from interp_core.attribution import class_targets
        >>> labels = ("sad", "calm", "glad")
        >>> (target,) = class_targets(None, labels, "single-label", torch.tensor([0.5, 2.0, -1.0]))
        >>> target.label
        'calm'
        >>> targets = class_targets(["glad", interp.contrast(2, 0)], labels, "single-label", None)
        >>> [t.label for t in targets]
        ['glad', 'glad - sad']
    """
    if asked is None or (isinstance(asked, str) and asked == "predicted" and "predicted" not in labels):
        return tuple(Target(labels[i], i) for i in predicted(logits, head))
    if isinstance(asked, str) and asked == "all" and "all" not in labels:
        return tuple(Target(label, i) for i, label in enumerate(labels))
    several = asked.tolist() if hasattr(asked, "tolist") else asked
    if isinstance(several, Sequence) and not isinstance(several, str):
        targets = tuple(t for one in several for t in class_targets(one, labels, head, logits))
        if not targets:
            raise TargetError("the list of targets is empty; name at least one class.")
        return targets
    return (_class_target(several, labels),)


def _class_target(target_spec: Any, labels: Sequence[str]) -> Target:
    if isinstance(target_spec, Target):
        if target_spec.positions or target_spec.parts:
            raise TargetError(
                f"target {target_spec.label!r} is of positions {target_spec.positions}, but a classifier answers for "
                "the whole text; leave out `position` and `parts`."
            )
        for one in (target_spec.index, target_spec.against):
            if target_spec.function is None and one is not None:
                class_index(one, labels)
        return target_spec
    if isinstance(target_spec, Contrast):
        chosen, other = class_index(target_spec.chosen, labels), class_index(target_spec.other, labels)
        check_contrast(chosen, other, target_spec)
        return Target(f"{labels[chosen]} - {labels[other]}", chosen, against=other)
    if callable(target_spec):
        return function_target(target_spec)
    index = class_index(target_spec, labels)
    return Target(labels[index], index)
