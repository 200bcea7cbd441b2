"""How much each concept matters to an answer: any attribution method, asked about the concepts of each text."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from interp_core import registry, storage
from interp_core.activations import Activations
from interp_core.asking import Session
from interp_core.builders import ConceptInput, about_concepts
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError, TargetError, UnsupportedError
from interp_core.generation import next_token_targets
from interp_core.heads import CLASSIFIERS
from interp_core.options import take_options
from interp_core.provenance import MadeBy, made_by
from interp_core.rows import Answer, Request
from interp_core.scoring import scored
from interp_core.split import SplitModel
from interp_core.targets import Readout, Target, readout_of
from interp_core.text import Encoded
from interp_core.wanted import Contrast, class_targets
from jaxtyping import Float
from torch import Tensor

TEXTS_AT_A_TIME = 256
Ask = Callable[[Request], Answer]


@dataclass(frozen=True, eq=False)
class Importance:
    """What concepts contribute to the scores of targets.

    Attributes:
        per_text: (n, k, c) signed contribution of each concept to each target in each text, as the attribution method
            defines it.
        targets: names of the k targets.
        concepts: names of the c concepts.
    """

    per_text: Float[Tensor, "n k c"]
    targets: tuple[str, ...]
    concepts: tuple[str, ...]
    made_by: MadeBy
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Float[Tensor, "k c"]:
        """How much each concept matters: the mean over texts of the size of its contribution."""
        return self.per_text.abs().mean(0)

    @property
    def direction(self) -> Float[Tensor, "k c"]:
        """Which way it pushes: the mean over texts of the signed contribution."""
        return self.per_text.mean(0)

    def top(self, target: int | str = 0, count: int = 5, signed: bool = False) -> list[tuple[int, float]]:
        """The concepts that matter most to a target, with their scores; those that speak for it the most, if signed."""
        row = self.targets.index(target) if isinstance(target, str) else target
        values = (self.direction if signed else self.scores)[row]
        return [(i, float(values[i])) for i in values.argsort(descending=True)[:count].tolist()]

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        data = {
            "targets": self.targets,
            "concepts": self.concepts,
            "notes": self.notes,
            "made_by": self.made_by.to_json(),
        }
        return storage.save(path, "importance", {"per_text": self.per_text}, data)

    @classmethod
    def load(cls, path: str | Path) -> Importance:
        """Read what `save` wrote."""
        tensors, data = storage.load(path, "importance")
        made = MadeBy.from_json(data["made_by"])
        return cls(tensors["per_text"], tuple(data["targets"]), tuple(data["concepts"]), made, tuple(data["notes"]))

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


def importance(
    split: SplitModel,
    space: ConceptSpace,
    activations: Activations,
    *,
    by: Any = "input-x-gradient",
    targets: Any = "all",
    **options: Any,
) -> Importance:
    """How much each concept matters to each target, text by text.

    The concepts of a text are put back into the model in place of its activations, with what they leave unexplained
    added, so that the scores are those of the text itself. Blocks below the split never run on variants; where the
    head reads one position alone (`granularity="cls"` at the last block) they do not run at all.

    Args:
        split: the model, split where the activations were read.
        space: the concepts.
        activations: the texts and their rows.
        by: an attribution method, by name or as an instance.
        targets: as in `attribute`; `"predicted"` takes each text's own class. For a generator: one next token,
            several in a list, or contrasts.
        **options: fields of `interp_core.options.Options`, or parameters of the method.

    Raises:
        InputError: space, activations and split do not belong together.
    """
    chosen, parameters = take_options(options)
    method = registry.resolve(by, "attribution", parameters)
    _check(split, space, activations)
    session = Session(split.model, replace(chosen, layer=None))
    moved = copy.deepcopy(space).to(split.model.device)
    source = _Source(split, moved, activations, session, targets)
    results: list[Tensor] = []
    for start in range(0, len(activations.texts), TEXTS_AT_A_TIME):
        inputs = source.inputs(range(start, min(start + TEXTS_AT_A_TIME, len(activations.texts))))
        jobs = [partial(_explained, method, source, i) for i in inputs]
        longest = max(len(i[0]) for i in inputs)
        results += session.run(jobs, "importance", longest)
    settings = {"granularity": activations.granularity, "layer": split.path, "removal": "zero", "texts": len(results)}
    return Importance(
        per_text=torch.stack(results),
        targets=source.labels,
        concepts=tuple(space.names),
        made_by=made_by(method, session.cost, split.model.name, settings),
    )


Input = tuple[Encoded, Readout, ConceptInput]


def _explained(method: Any, source: _Source, item: Input, ask: Ask) -> Tensor:
    return scored(method, source.question(*item, ask))[0]


@dataclass
class _Source:
    """Makes the concept questions of the texts of activations."""

    split: SplitModel
    space: ConceptSpace
    activations: Activations
    session: Session
    targets: Any
    labels: tuple[str, ...] = ()

    def inputs(self, texts: range) -> list[Input]:
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

    def question(self, encoded: Encoded, readout: Readout, concepts: ConceptInput, ask: Ask) -> Any:
        """The question about the concepts of one text."""
        return about_concepts(self.session.evaluator, encoded, readout, concepts, ask)

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
        if own is None or own.ndim != 1:
            raise TargetError("the class of each text is not known; make the activations with predictions=True.")
        return (Target(model.labels[int(own[text])], int(own[text])),)

    def _generator(self, encoded: Encoded) -> tuple[Target, ...]:
        wanted = self.targets if isinstance(self.targets, list | tuple) else [self.targets]
        if not all(isinstance(w, str | Contrast | Target) for w in wanted) or "all" in wanted:
            raise TargetError("for a generator name the next tokens to explain, such as targets=[' good', ' bad'].")
        return tuple(t for want in wanted for t in next_token_targets(self.split.model, encoded, want))


def _check(split: SplitModel, space: ConceptSpace, activations: Activations) -> None:
    if not isinstance(split, SplitModel):
        raise InputError(f"importance needs a split model, model.split(layer); {type(split).__name__} was given.")
    if activations.layer != split.path:
        raise InputError(
            f"the activations are of {activations.layer!r} and the model is split at {split.path!r}; "
            "they must be the same."
        )
    made_on = {activations.made_by.model, space.made_by.model} - {""}
    if made_on and made_on != {split.model.name}:
        raise InputError(f"activations and space are of {', '.join(sorted(made_on))}, the model is {split.model.name}.")
    if space.width != activations.width:
        raise InputError(
            f"the space has width {space.width}, the activations {activations.width}; fit one to the other."
        )
