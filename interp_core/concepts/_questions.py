"""Questions about the concepts of texts: built from activations and a space, answered by the model above a split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

import torch
from interp_core.activations import Activations
from interp_core.attribution import (
    Absence,
    Ask,
    Contrast,
    ModelRunner,
    Options,
    Question,
    Session,
    class_targets,
    next_token_targets,
)
from interp_core.concepts._compatibility import check_split
from interp_core.concepts._space import ConceptSpace
from interp_core.errors import TargetError, UnsupportedError
from interp_core.model import (
    CLASSIFIERS,
    BatchRunner,
    Injection,
    Internals,
    Readout,
    SplitModel,
    Target,
    readout_of,
)
from interp_core.text import DividedText, Unit, batched_by_size
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")
TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 256, 2**26  # limits of what is in memory at once: texts, and codes or states


@dataclass(frozen=True, eq=False)
class ConceptInput:
    """The concepts of one text, ready to be put back into the model.

    Attributes:
        injection: where the hidden states enter.
        codes: (c, r) the code of each concept in each of the r rows of the text.
        context: (t, d) the hidden states of the text.
        row_of: (t) the row that each token belongs to, -1 for none.
        decode: from codes (n, c) to activations (n, d).
        names: the names of the concepts.
    """

    injection: Injection
    codes: Float[Tensor, "c r"]
    context: Float[Tensor, "t d"]
    row_of: Tensor
    decode: Callable[[Tensor], Tensor]
    names: Sequence[str]

    def insert(self, codes: Float[Tensor, "p c r"]) -> Float[Tensor, "p t d"]:
        """The hidden states of the text with these codes."""
        p, c, r = codes.shape
        change = self.decode(codes.transpose(1, 2).reshape(p * r, c)) - self.decode(self.codes.T).repeat(p, 1)
        moved = torch.cat([change.reshape(p, r, change.shape[1]), change.new_zeros(p, 1, change.shape[1])], dim=1)
        return self.context + moved[:, self.row_of.to(moved.device)]


def about_concepts(
    batch_runner: BatchRunner,
    encoded: DividedText,
    readout: Readout,
    concepts: ConceptInput,
    *,
    ask: Ask | None = None,
    max_rows: int | None = None,
) -> Question:
    """A question whose features are the concepts of a text: x is (c, r), the code of each concept in each of r rows.

    The score is that of the states `context + decode(codes) - decode(codes of the text)`. What the concepts do not
    explain stays as it is, so importance measures concepts and not reconstruction error. An absent concept has code 0.
    """
    codes = concepts.codes
    absent = Absence("zero", "features", torch.zeros_like(codes))
    owners = torch.arange(len(codes))
    place, insert = concepts.injection, concepts.insert
    runner = ModelRunner(batch_runner, encoded, readout, place, insert, codes, absent, owners, ask)
    return Question(
        runner,
        x=codes,
        baseline=absent.baseline,
        unit_of=owners,
        units=_named_units(concepts.names),
        targets=readout.targets,
        text=encoded.text,
        removal="zero",
        internals=Internals(batch_runner, encoded, readout, place),
        max_rows=max_rows,
    )


def _named_units(names: Sequence[str]) -> list[Unit]:
    starts = accumulate((len(name) + 1 for name in names), initial=0)
    return [Unit(name, start, start + len(name)) for name, start in zip(names, starts, strict=False)]


_Input = tuple[DividedText, Readout, ConceptInput]


@dataclass
class ConceptQuestions:
    """Builds the questions about the concepts of all texts.

    Attributes:
        split: the model, split where the activations were read.
        space: the concepts, on the device of the model.
        activations: the texts and their rows.
        session: the run.
        targets: as in `importance`.
        labels: the names of the targets, known from the first text on.
    """

    split: SplitModel
    space: ConceptSpace
    activations: Activations
    session: Session
    targets: Any
    labels: tuple[str, ...] = ()

    def inputs(self, texts: Sequence[int]) -> list[_Input]:
        """The text, readout and concepts of each question."""
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
            kept, contexts = encoded, self.split.states(self.session.batch_runner, encoded)
            places = [self.split.row_of(e, held.granularity) for e in encoded]
        return [
            (e, self._readout(i, full), self._concepts(code, context, place))
            for i, full, e, code, context, place in zip(texts, encoded, kept, codes, contexts, places, strict=True)
        ]

    def _concepts(self, codes: Tensor, context: Tensor, place: Tensor) -> ConceptInput:
        return ConceptInput(
            self.split.injection,
            codes.T.contiguous(),
            context.to(torch.promote_types(context.dtype, torch.float32)),
            place,
            self.space.decode,
            self.space.names,
        )

    def _alone(self, encoded: DividedText) -> DividedText:
        where = self.split.position(len(encoded))
        return replace(
            encoded,
            ids=encoded.ids[where : where + 1],
            offsets=encoded.offsets[where : where + 1],
            special=encoded.special[where : where + 1],
            unit_of=torch.zeros(1, dtype=torch.long),
            prompt=1,
        )

    def _readout(self, text: int, encoded: DividedText) -> Readout:
        head = self.split.model.head
        if head not in CLASSIFIERS | {"causal"}:
            raise UnsupportedError(
                f"importance and effects are for text classifiers and causal generators; this head is {head!r}."
            )
        targets = self._generator(encoded) if head == "causal" else self._classes(text)
        readout = readout_of(targets, self.session.options.score, head)
        if not self.labels:
            own = self.targets in (None, "predicted") if not isinstance(self.targets, list | tuple | Tensor) else False
            labels = tuple(target.label for target in readout.targets)
            self.labels = ("predicted class",) if own and head != "causal" else labels
        if len(readout.targets) != len(self.labels):
            raise TargetError("the texts have different numbers of targets; name the targets explicitly.")
        return readout

    def _classes(self, text: int) -> tuple[Target, ...]:
        model = self.split.model
        if self.targets is not None and not (isinstance(self.targets, str) and self.targets == "predicted"):
            return class_targets(self.targets, model.labels, model.head, None)
        own = self.activations.predictions
        if own is not None and own.ndim != 1:
            raise TargetError("a text can have several predicted classes; name the targets, or use targets='all'.")
        if own is None:
            raise TargetError(
                "the predicted class of each text is not known; make the activations with predictions=True."
            )
        return (Target(model.labels[int(own[text])], int(own[text])),)

    def _generator(self, encoded: DividedText) -> tuple[Target, ...]:
        tokens = self.targets if isinstance(self.targets, list | tuple) else [self.targets]
        if not all(isinstance(token, str | Contrast | Target) for token in tokens) or "all" in tokens:
            raise TargetError("for a generator name the next tokens to explain, such as targets=[' good', ' bad'].")
        return tuple(t for token in tokens for t in next_token_targets(self.split.model, encoded, token))

    def each(self, work: Callable[[Question], T], description: str) -> list[T]:
        """The results of `work` for the question of each text, in order. The questions share passes."""

        def job(item: _Input, ask: Ask) -> T:
            return work(
                about_concepts(self.session.batch_runner, *item, ask=ask, max_rows=self.session.options.max_rows)
            )

        results: list[T] = []
        count = len(self.activations.texts)
        rows = NUMBERS_AT_A_TIME // max(self.space.concepts, self.space.width)
        for texts in batched_by_size(
            iter(range(count)), lambda i: len(self.activations.units[i]), rows, TEXTS_AT_A_TIME
        ):
            inputs = self.inputs(texts)
            longest = max(len(encoded) for encoded, _, _ in inputs)
            results += self.session.run([partial(job, item) for item in inputs], description, longest)
        return results


def concept_questions(
    split: SplitModel, space: ConceptSpace, activations: Activations, targets: Any, options: Options
) -> ConceptQuestions:
    """The questions of one run, about all texts of the activations.

    Raises:
        InputError: space, activations and split do not belong together.
    """
    check_split(split, space, activations)
    session = Session(split.model, replace(options, layer=None))
    return ConceptQuestions(split, copy.deepcopy(space).to(split.model.device), activations, session, targets)
