"""Questions about the concepts of texts: built from activations and a space, asked of the model above a split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from interp_core.activations import Activations
from interp_core.asking import Session
from interp_core.builders import ConceptInput, about_concepts
from interp_core.concepts import ConceptSpace, check_fits
from interp_core.errors import InputError, TargetError, UnsupportedError
from interp_core.generation import next_token_targets
from interp_core.heads import CLASSIFIERS
from interp_core.options import Options
from interp_core.question import Question
from interp_core.rows import Answer, Request
from interp_core.split import SplitModel
from interp_core.store import grouped
from interp_core.targets import Readout, Target, readout_of
from interp_core.text import Encoded
from interp_core.wanted import Contrast, class_targets
from torch import Tensor

T = TypeVar("T")
TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 256, 2**26  # whose codes and states are held at once
Ask = Callable[[Request], Answer]
Input = tuple[Encoded, Readout, ConceptInput]


@dataclass
class ConceptQuestions:
    """Makes the questions about the concepts of the texts of activations.

    Attributes:
        split: the model, split where the activations were read.
        space: the concepts, on the device of the model.
        activations: the texts and their rows.
        session: the run.
        targets: as in `importance`.
        labels: the names of the targets, once a text has been asked about.
    """

    split: SplitModel
    space: ConceptSpace
    activations: Activations
    session: Session
    targets: Any
    labels: tuple[str, ...] = ()

    def inputs(self, texts: Sequence[int]) -> list[Input]:
        """What is known of each text before it is asked about."""
        model, held = self.split.model, self.activations
        encode = model.encoder.prompt if model.head == "causal" else model.encoder
        encoded = [encode(held.texts[i]).with_units([(u.start, u.stop) for u in held.units[i]]) for i in texts]
        rows = [held.values[held.rows_of(i)].to(model.device) for i in texts]
        with torch.no_grad():
            codes = self.space.encode(torch.cat(rows).float()).split([len(r) for r in rows])
        if held.granularity == "cls" and self.split.head_reads_one_row:
            kept = [self._alone(e) for e in encoded]
            contexts, places = rows, [torch.zeros(1, dtype=torch.long)] * len(rows)
        else:
            kept, contexts = encoded, self.split.states(self.session.evaluator, encoded)
            places = [self.split.row_of(e, held.granularity) for e in encoded]
        return [
            (e, self._readout(i, full), self._concepts(code, context, place))
            for i, full, e, code, context, place in zip(texts, encoded, kept, codes, contexts, places, strict=True)
        ]

    def _concepts(self, codes: Tensor, context: Tensor, place: Tensor) -> ConceptInput:
        return ConceptInput(
            self.split.entry,
            codes.T.contiguous(),
            context.to(torch.promote_types(context.dtype, torch.float32)),
            place,
            self.space.decode,
            self.space.names,
        )

    def _alone(self, encoded: Encoded) -> Encoded:
        where = self.split.position(len(encoded))
        return replace(
            encoded,
            ids=encoded.ids[where : where + 1],
            offsets=encoded.offsets[where : where + 1],
            special=encoded.special[where : where + 1],
            unit_of=torch.zeros(1, dtype=torch.long),
            prompt=1,
        )

    def _readout(self, text: int, encoded: Encoded) -> Readout:
        head = self.split.model.head
        if head not in CLASSIFIERS | {"causal"}:
            raise UnsupportedError(f"importance is for text classifiers and causal generators; this head is {head!r}.")
        found = self._generator(encoded) if head == "causal" else self._classes(text)
        readout = readout_of(found, self.session.options.score, head)
        found = readout.targets
        if not self.labels:
            own = self.targets in (None, "predicted") if not isinstance(self.targets, list | tuple | Tensor) else False
            self.labels = ("predicted class",) if own and head != "causal" else tuple(t.label for t in found)
        if len(found) != len(self.labels):
            raise TargetError("the texts have different numbers of targets; name the targets to get one table.")
        return readout

    def _classes(self, text: int) -> tuple[Target, ...]:
        model = self.split.model
        if self.targets is not None and not (isinstance(self.targets, str) and self.targets == "predicted"):
            return class_targets(self.targets, model.labels, model.head, None)
        own = self.activations.predictions
        if own is not None and own.ndim != 1:
            raise TargetError("a text can have several classes; name the targets, or targets='all'.")
        if own is None:
            raise TargetError("the class of each text is not known; make the activations with predictions=True.")
        return (Target(model.labels[int(own[text])], int(own[text])),)

    def _generator(self, encoded: Encoded) -> tuple[Target, ...]:
        wanted = self.targets if isinstance(self.targets, list | tuple) else [self.targets]
        if not all(isinstance(w, str | Contrast | Target) for w in wanted) or "all" in wanted:
            raise TargetError("for a generator name the next tokens to explain, such as targets=[' good', ' bad'].")
        return tuple(t for want in wanted for t in next_token_targets(self.split.model, encoded, want))

    def each(self, work: Callable[[Question], T], description: str) -> list[T]:
        """What `work` gives for the question of each text; they share passes."""

        def job(item: Input, ask: Ask) -> T:
            return work(about_concepts(self.session.evaluator, *item, ask))

        results: list[T] = []
        count = len(self.activations.texts)
        rows = NUMBERS_AT_A_TIME // max(self.space.concepts, self.space.width)
        for texts in grouped(iter(range(count)), lambda i: len(self.activations.units[i]), rows, TEXTS_AT_A_TIME):
            inputs = self.inputs(texts)
            longest = max(len(encoded) for encoded, _, _ in inputs)
            results += self.session.run([partial(job, item) for item in inputs], description, longest)
        return results


def concept_questions(
    split: SplitModel, space: ConceptSpace, activations: Activations, targets: Any, options: Options
) -> ConceptQuestions:
    """The questions of one run.

    Raises:
        InputError: space, activations and split do not belong together.
    """
    _check(split, space, activations)
    session = Session(split.model, replace(options, layer=None))
    return ConceptQuestions(split, copy.deepcopy(space).to(split.model.device), activations, session, targets)


def _check(split: SplitModel, space: ConceptSpace, activations: Activations) -> None:
    if not isinstance(split, SplitModel):
        raise InputError(f"a split model is needed, model.split(layer); {type(split).__name__} was given.")
    if activations.layer != split.path:
        raise InputError(
            f"the activations are of {activations.layer!r} and the model is split at {split.path!r}; "
            "they must be the same."
        )
    made_on = {activations.made_by.model, space.made_by.model} - {""}
    if made_on and made_on != {split.model.name}:
        raise InputError(f"activations and space are of {', '.join(sorted(made_on))}, the model is {split.model.name}.")
    check_fits(space, activations)
