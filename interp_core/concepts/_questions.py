"""Questions about the concepts of texts, built from activations and a space and answered by the model above a split."""

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
    ModelRunner,
    Options,
    Question,
    Session,
)
from interp_core.concepts._compatibility import check_split
from interp_core.concepts._space import ConceptSpace
from interp_core.concepts._targets import ConceptTargets
from interp_core.model import (
    BatchRunner,
    Injection,
    Internals,
    Readout,
    SplitModel,
    readout_of,
)
from interp_core.plugin import methods
from interp_core.text import DividedText, Unit, batched_by_size
from jaxtyping import Bool, Float
from torch import Tensor

T = TypeVar("T")
TEXTS_AT_A_TIME, NUMBERS_AT_A_TIME = 256, 2**26  # limits of what is in memory at once: texts, and codes or states
FEW = 4  # texts on which is tried why a result is 0
BELOW, ENOUGH = 0.5, 10  # standard deviations of a code below 0, over so many rows: there 0 adds a concept
NAMED = 3  # concepts in a note


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
        units=named_units(concepts.names),
        targets=readout.targets,
        text=encoded.text,
        removal="zero",
        internals=Internals(batch_runner, encoded, readout, place),
        max_rows=max_rows,
    )


def named_units(names: Sequence[str]) -> list[Unit]:
    """A unit for each concept."""
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
        targets: what is explained in each text.
        sums: the sum of the codes of each concept, and of their squares, over the rows that were asked about.
    """

    split: SplitModel
    space: ConceptSpace
    activations: Activations
    session: Session
    targets: ConceptTargets
    sums: Float[Tensor, "2 c"]

    def inputs(self, texts: Sequence[int]) -> list[_Input]:
        """The text, readout and concepts of each question."""
        model, held = self.split.model, self.activations
        resolved = self.targets.of(texts)
        spans = [[(unit.start, unit.stop) for unit in held.units[i]] for i in texts]
        encoded = [e.with_units(own) for (e, _), own in zip(resolved, spans, strict=True)]
        readouts = [readout_of(targets, self.session.options.score, model.head) for _, targets in resolved]
        self.targets.check(readouts)
        rows = [held.values[held.rows_of(i)].to(model.device) for i in texts]
        codes = self.encoded(torch.cat(rows)).split([len(r) for r in rows])
        if self.one_row:
            kept = [self._alone(e) for e in encoded]
            contexts, places = rows, [torch.zeros(1, dtype=torch.long)] * len(rows)
        else:
            kept, contexts = encoded, self.split.states(self.session.batch_runner, encoded)
            places = [self.split.row_of(e, held.granularity) for e in encoded]
        concepts = [self._concepts(*one) for one in zip(codes, contexts, places, strict=True)]
        return list(zip(kept, readouts, concepts, strict=True))

    @property
    def one_row(self) -> bool:
        """Whether the only row of each text determines its scores."""
        return self.activations.granularity == "cls" and self.split.head_reads_one_row

    def one_token(self) -> DividedText:
        """The token that the head reads of some text, for rows that determine their scores."""
        model = self.split.model
        return self._alone(model.encoder(model.probe("one two three four")).with_units([]))

    def encoded(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The codes of rows, which are added to `sums`."""
        with torch.no_grad():
            codes = self.space.encode(rows.float())
        self.sums += torch.stack([codes, codes.square()]).sum(1).cpu()
        return codes

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
            types=None if encoded.types is None else encoded.types[where : where + 1],
            unit_of=torch.zeros(1, dtype=torch.long),
            prompt=1,
        )

    def each(self, work: Callable[[Question], T], description: str, texts: Sequence[int] | None = None) -> list[T]:
        """The results of `work` for the question of each text, in order. The questions share passes.

        Args:
            work: what is done with a question.
            description: the label of the progress bar.
            texts: the numbers of some texts; all of them by default.
        """

        def job(item: _Input, ask: Ask) -> T:
            return work(
                about_concepts(self.session.batch_runner, *item, ask=ask, max_rows=self.session.options.max_rows)
            )

        results: list[T] = []
        chosen = range(len(self.activations.texts)) if texts is None else texts
        rows = NUMBERS_AT_A_TIME // max(self.space.concepts, self.space.width)
        for group in batched_by_size(iter(chosen), lambda i: len(self.activations.units[i]), rows, TEXTS_AT_A_TIME):
            inputs = self.inputs(group)
            longest = max(len(encoded) for encoded, _, _ in inputs)
            results += self.session.run([partial(job, item) for item in inputs], description, longest)
        return results

    def absence_note(self, removed: Bool[Tensor, " c"]) -> tuple[str, ...]:
        """A note if concepts learnt from labels are removed by setting codes to 0 that are below 0 as a rule.

        Codes are decisions there, of which 0 is the boundary. Known once all texts have been asked about.

        Args:
            removed: the concepts whose codes are set to 0.
        """
        return absence_note(self.space, self.sums, len(self.activations), removed)

    def zero_note(self, numbers: Float[Tensor, "n ..."]) -> tuple[str, ...]:
        """A note that says why, if every number of a result is exactly 0.

        Whether the scores depend on the rows at all is tried on a few texts, with other codes.
        """
        if not numbers.numel() or bool((numbers != 0).any()):
            return ()

        def moved(question: Question) -> bool:
            others = torch.stack([question.x, question.x + 1 + question.x.abs()])
            scores = question.at(others)
            return bool((scores[0] != scores[1]).any())

        some = range(min(FEW, len(self.activations.texts)))
        if any(self.each(moved, "why all is 0", some)):
            return ("Every number is 0: the concepts in question are not active in any of these texts.",)
        model, path = self.split.model, self.split.path
        read = "last" if model.head == "causal" else "cls"
        rows = f"rows of granularity {read!r}" if read != self.activations.granularity else "rows of other positions"
        return (
            f"Every number is 0, which says nothing about the concepts: above {path!r} the head of {model.name} does "
            f"not read the positions that the rows of granularity {self.activations.granularity!r} stand for. Use "
            f"{rows}, or split at a lower layer, above which attention carries them to where the head reads.",
        )


def absence_note(
    space: ConceptSpace, sums: Float[Tensor, "2 c"], rows: int, removed: Bool[Tensor, " c"]
) -> tuple[str, ...]:
    """A note if concepts learnt from labels are removed by setting codes to 0 that are below 0 as a rule.

    Args:
        space: the concepts.
        sums: the sum of the codes of each concept, and of their squares.
        rows: over so many rows.
        removed: the concepts whose codes are set to 0.
    """
    learnt_by = space.made_by.method
    if not any(method.name == learnt_by and "labels" in method.needs for method in methods("concepts")):
        return ()
    mean, squares = sums / rows
    below = mean < -BELOW * (squares - mean.square()).clamp(min=0).sqrt()
    names = [space.names[i] for i in (removed & below).nonzero().flatten().tolist()]
    if not names or rows < ENOUGH:
        return ()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"Removing a concept sets its code to 0, but the codes of {', '.join(names[:NAMED])}{more} are below 0 as "
        f"a rule, so that this raises them: for {learnt_by}, 0 is the boundary between rows with and without a "
        "label. Any other code can be set with Change(ablate=[concept], add={concept: code}).",
    )


def concept_questions(
    split: SplitModel, space: ConceptSpace, activations: Activations, targets: Any, options: Options
) -> ConceptQuestions:
    """Build the questions about the concepts of all texts, for uses that no verb covers.

    Args:
        split: the model, split where the activations were read.
        space: the c concepts.
        activations: the texts with their rows.
        targets: as in `importance`.
        options: the options of the run.

    Returns:
        The questions; `each(work, description)` calls `work` with the question of each text, in shared passes. The
        features of a question are (c, r), the code of each concept in each of the r rows of the text.

    Raises:
        InputError: space, activations and split do not belong together.
        TargetError: the number of targets differs from the number of texts.
        UnsupportedError: the model gives no logits, or the layer is in the decoder of an encoder-decoder model.

    Examples:
        The gradients of two scores with respect to the code of each concept in each of two words:

        >>> from interp_core.attribution import Options
        >>> from interp_core.concepts import AffineSpace, concept_questions
        >>> from interp_core.testing import planted_model
        >>> split = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)}).split("words")
        >>> space = AffineSpace(torch.eye(2), torch.eye(2))
        >>> activations = split.activations(["so happy"], granularity="word", progress=False)
        >>> questions = concept_questions(split, space, activations, "all", Options(progress=False))
        >>> (slopes,) = questions.each(lambda question: next(question.gradients(question.x[None])), "gradients")
        >>> slopes.shape
        torch.Size([2, 2, 2])
    """
    check_split(split, space, activations)
    session = Session(split.model, replace(options, layer=None))
    of_texts = ConceptTargets(split, activations, session, targets)
    sums = torch.zeros(2, space.concepts)
    return ConceptQuestions(split, copy.deepcopy(space).to(split.model.device), activations, session, of_texts, sums)
