"""What a concept does to the tokens that a model predicts, by changing it while the model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, Literal

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Example, Interpretation, LabelledConcept, intervene
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import BatchRunner, GeneratorRows, ModelRequest, SplitModel, text_rows
from interp_core.results import counted
from interp_core.text import DividedText, batched_by_size
from interp_vocabulary_projection.tokens import Vocabulary, vocabulary_of
from jaxtyping import Float, Int
from torch import Tensor

from interp_token_change.active_rows import active_rows

ERRORS = 2.0  # standard errors that a mean change must be away from 0
ROUNDING = 1e-5  # changes of a log-probability that single precision makes of nothing
TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 64, 2**24  # of logits
Change = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class TokenChange:
    """Token change: the tokens whose log-probability changes when a concept is ablated, or added, while the model runs.

    A concept is changed by `intervene`, at the tokens it chooses for the space: all of them, or, for a space of `last`
    or `cls` rows, only those. In each text the prediction is read at the tokens of the unit where the concept is most
    active: for a causal model, which sees the text up to there, the next token; for a masked model the token itself.
    The change is averaged over the tokens of the unit and then over texts, one unit from each. A token is shown only if
    its mean change is more than 2 standard errors from 0; where nothing changes this is true of about one token in
    twenty, and of more with fewer than five texts.

    The strength of a token is what the presence of the concept adds to its log-probability, in nats: with the concept
    less without it, for `"ablate"` as for `"add"`, and for a negative `strength` as for a positive one. The words are
    the tokens that the concept speaks for, with positive strengths, strongest first, then those that it speaks against,
    with negative ones. The label is made of the first words. The examples are the units at which predictions were read.

    The cost is two passes over at most `texts` texts for each concept. Only causal and masked language models with one
    stack are supported.

    Args:
        change: `"ablate"` sets the code to 0; `"add"` adds to it.
        strength: for `"add"`, the multiple of the largest code of the corpus that is added; finite and not 0, negative
            to subtract.
        texts: maximum number of texts for each concept, at least 2.
        sampling: `"top"` takes the texts where the concept is strongest, of those where it is positive; `"random"`
            draws texts, the same for all concepts, also where the concept is not active.
        top: maximum number of tokens shown for, and against, a concept; at least 1.
        special: show special and unused tokens too.
        seed: random seed of the draw of texts, at least 0.

    Raises:
        InputError: a number is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> split = model.split(0)
        >>> texts = ["so happy today", "the old cat was sad", "warm rain and a cold night", "i never feel calm"]
        >>> rows = split.activations(texts)
        >>> space = interp.fit_concepts(rows, by="neurons")
        >>> found = interp.interpret(space, rows, by="token-change", model=split, concepts=[0], texts=4, top=3)
        >>> len(found), len(found[0].words) <= 6
        (1, True)

    Source:
        By definition.
    """

    change: Literal["ablate", "add"] = "ablate"
    strength: float = 1.0
    texts: int = 16
    sampling: Literal["top", "random"] = "top"
    top: int = 10
    special: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.top < 1 or self.texts < 2 or self.seed < 0:
            raise InputError(
                f"top={self.top} must be at least 1, texts={self.texts} at least 2 for a standard error, and "
                f"seed={self.seed} at least 0."
            )
        if not isfinite(self.strength) or not self.strength:
            raise InputError(f"strength is {self.strength}; a finite number other than 0 was expected.")

    def interpret(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Interpretation:
        """Find the tokens that each concept of the space speaks for and against.

        Returns:
            Words with strengths in nats, a label, and the units that predictions were read at, for each concept.

        Raises:
            UnsupportedError: the model predicts no tokens of a vocabulary, or has an encoder and a decoder.
            InputError: the space is of another layer, model or width than the split.
        """
        _check_head(split)
        found = active_rows(space, activations, self.texts, self._drawn(activations))
        size = int(split.model.logits(split.model.some_ids()).shape[-1])
        vocabulary = vocabulary_of(split.model.tokenizer, size, special=self.special)
        concepts = []
        for concept, number in enumerate(space.numbers):
            peak = float(found.peak[concept])
            places = [(row, code) for row, code in found.entries[concept] if code > 0 or self.sampling == "random"]
            if peak <= 0:
                concepts.append(LabelledConcept(concept, None, note="it is never active in this corpus."))
                continue
            changed = partial(intervene, split, space.whole, **self._changes(number, peak))
            examples, changes = _measured(split, activations, places, changed, size)
            concepts.append(self._labelled(concept, changes, examples, vocabulary))
        return Interpretation(tuple(concepts), notes=self._notes(split, vocabulary))

    def _drawn(self, activations: Activations) -> Tensor | None:
        """The texts to choose from; None for all."""
        if self.sampling == "top":
            return None
        drawn = torch.randperm(len(activations.texts), generator=torch.Generator().manual_seed(self.seed))
        return torch.zeros(len(drawn), dtype=torch.bool).index_fill_(0, drawn[: self.texts], True)

    def _changes(self, concept: int, peak: float) -> dict[str, Any]:
        return {"ablate": [concept]} if self.change == "ablate" else {"add": {concept: self.strength * peak}}

    def _labelled(
        self,
        concept: int,
        changes: Float[Tensor, "n v"],
        examples: tuple[Example, ...],
        vocabulary: Vocabulary,
    ) -> LabelledConcept:
        adds = self.change == "add" and self.strength > 0
        mean = changes.mean(0)[vocabulary.ids] * (1 if adds else -1)  # what the presence of the concept does
        error = changes.std(0)[vocabulary.ids] / len(changes) ** 0.5 if len(changes) > 1 else mean.abs()
        sure = mean.abs() > torch.maximum(ERRORS * error, torch.tensor(ROUNDING))
        for_it, against = (self._first(side * mean, sure) for side in (1, -1))
        ids = vocabulary.ids.tolist()
        words = tuple((vocabulary.text(ids[i]), float(mean[i])) for i in (*for_it, *against))
        label = vocabulary.label(ids[i] for i in for_it)
        return LabelledConcept(concept, label, words, examples, note=self._note(len(changes), label, bool(words)))

    def _first(self, sizes: Float[Tensor, " s"], sure: Tensor) -> list[int]:
        best = sizes.masked_fill(~sure, -torch.inf).topk(min(self.top, len(sizes)))
        return [i for i, size in zip(best.indices.tolist(), best.values.tolist(), strict=True) if size > 0]

    def _note(self, texts: int, label: str | None, words: bool) -> str:
        of = counted(texts, "text")
        if texts < 2:
            return f"measured in {of}, which gives no standard error."
        if not words:
            return f"no token changes by more than {ERRORS:.0f} standard errors in {of}."
        if label is None:
            return f"measured in {of}; no token that it speaks for changes by more than {ERRORS:.0f} standard errors."
        return f"measured in {of}." if texts < self.texts else ""

    def _notes(self, split: SplitModel, vocabulary: Vocabulary) -> tuple[str, ...]:
        times = f"{abs(self.strength):g} times its largest value"
        with_it = "as it is, less that with the code set to 0"
        if self.change == "add":
            with_it = (
                f"raised by {times}, less that without" if self.strength > 0 else f"as it is, less that {times} lower"
            )
        where = "where the concept is most active" if self.sampling == "top" else "drawn at random"
        token = "next token" if split.model.head == "causal" else "token at the same place"
        said = (
            f"Strengths are what the concept adds to the log-probability of the {token}: that with the code {with_it}, "
            f"on average over up to {self.texts} texts {where}, read at the unit with the largest code. Tokens within "
            f"{ERRORS:.0f} standard "
            "errors of no change are not shown; of many tokens some are beyond that by chance."
        )
        return (said, vocabulary.left_out) if vocabulary.left_out else (said,)


def _check_head(split: SplitModel) -> None:
    model = split.model
    if model.head in ("causal", "masked"):
        return
    instead = "use interp.effect, which tells what changing a concept does to its scores"
    raise UnsupportedError(
        f"{model.name} has a head of type {model.head!r}, and this method reads predictions of causal and masked "
        f"language models; {instead if model.head != 'other' else 'load it with a head'}."
    )


Place = tuple[DividedText, Int[Tensor, " m"], Example]


def _measured(
    split: SplitModel, activations: Activations, rows: Sequence[tuple[int, float]], changed: Change, size: int
) -> tuple[tuple[Example, ...], Float[Tensor, "n v"]]:
    """The units whose predictions were read, and the mean change of each token's log-probability at each of them."""
    places = [place for row, code in rows if len((place := _place(split, activations, row, code))[1])]
    runner, changes = BatchRunner(split.model), list[Tensor]()
    groups = batched_by_size(iter(places), lambda place: len(place[1]), NUMBERS_AT_A_TIME // size, TEXTS_AT_A_TIME)
    for group in groups:
        before, after = (_log_probabilities(runner, group, context) for context in (nullcontext, changed))
        changes += [(new - old).mean(0) for old, new in zip(before, after, strict=True)]
    return tuple(example for _, _, example in places), torch.stack(changes) if changes else torch.zeros(0, size)


def _place(split: SplitModel, activations: Activations, row: int, code: float) -> Place:
    """The text of a row, the tokens of its unit, and the unit as an example."""
    text, unit = activations.texts[int(activations.text_of[row])], activations.unit(row)
    spans = [(one.start, one.stop) for one in activations.units[int(activations.text_of[row])]]
    encoded = split.model.encoder(text).with_units(spans)
    of_unit = split.row_of(encoded, activations.granularity) == int(activations.unit_of[row])
    return encoded, of_unit.nonzero().flatten(), Example(text, unit.start, unit.stop, code)


def _log_probabilities(runner: BatchRunner, places: Sequence[Place], changed: Change) -> list[Float[Tensor, "m v"]]:
    """The log-probabilities of all tokens at the tokens of each place."""
    causal = runner.model.head == "causal"
    requests = [_request(encoded, tuple(at.tolist()), causal) for encoded, at, _ in places]
    with changed():
        outputs = runner.run(requests)
    return [
        output.logits[0][: len(at)].float().log_softmax(-1).cpu()
        for output, (_, at, _) in zip(outputs, places, strict=True)
    ]


def _request(encoded: DividedText, at: tuple[int, ...], causal: bool) -> ModelRequest:
    """The text up to the last token that is read, if no later one counts."""
    count = at[-1] + 1 if causal else len(encoded)

    def build(rows: Tensor) -> GeneratorRows:
        whole = text_rows(encoded, torch.ones(len(rows), len(encoded), dtype=torch.bool))
        return GeneratorRows(**vars(whole), positions=at).part(slice(count))

    return ModelRequest(torch.tensor([count]), build, logits=True)
