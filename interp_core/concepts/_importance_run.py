"""The importance of concepts in the texts of a shard, for runs in shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations, of_texts
from interp_core.attribution import Options, name_of
from interp_core.concepts._pointwise import contributions
from interp_core.concepts._questions import absence_note, concept_questions
from interp_core.concepts._space import ConceptSpace
from interp_core.concepts._targets import OWN
from interp_core.errors import TargetError
from interp_core.model import CLASSIFIERS, GENERATORS, SplitModel, identity_of
from interp_core.results import (
    Cost,
    Folder,
    Packed,
    Shard,
    State,
    StoredShards,
    code_of,
    described,
    packed,
    parameters_of,
    place_of_run,
    run_shards,
)
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of the importance of concepts.

    Attributes:
        per_text: (n, k, c) the contributions.
        targets: the names of the k targets.
        notes: what a reader should know.
        cost: what it cost.
    """

    per_text: Float[Tensor, "n k c"]
    targets: tuple[str, ...]
    notes: tuple[str, ...]
    cost: Cost


@dataclass(frozen=True, eq=False)
class ImportanceRun:
    """What one call of `importance` asks, without the activations.

    Attributes:
        split: the split model.
        space: the concepts.
        method: the attribution method.
        targets: as in `importance`.
        options: the options of the call.
    """

    split: SplitModel
    space: ConceptSpace
    method: Any
    targets: Any
    options: Options

    def __call__(self, shard: Shard) -> tuple[State, dict[str, Any]]:
        """The importance in the texts of a shard, as a packed state; and what the run tells of them."""
        targets = list(shard.beside["targets"]) if "targets" in shard.beside else self.targets
        options = replace(self.options, progress=False)
        source = concept_questions(self.split, self.space, shard.value, targets, options)
        per_text = contributions(source, self.method)
        state = {"per_text": per_text, "sums": source.sums}, {"targets": list(source.targets.labels)}
        cost = {name: value for name, value in vars(source.session.cost).items() if name != "seconds"}
        return packed([state]), {"zero": list(source.zero_note(per_text)), "cost": cost}

    def in_shards(self, activations: Activations, *, to: str | Path | None, executor: Any, shard_size: int) -> Found:
        """The importance in texts that are worked on shard by shard."""
        folder = None if to is None else self._folder(place_of_run(to), activations, shard_size)
        stored = StoredShards(Path() if to is None else place_of_run(to))
        per_text, sums, zero, labels = [], [], [], []
        cost = Counter[str]()
        for number, (state, told) in enumerate(
            run_shards(
                self,
                self._shards(activations, shard_size),
                folder=folder,
                executor=executor,
                description=f"importance by {name_of(self.method)}",
                total=len(activations.texts),
                progress=self.options.progress,
            )
        ):
            ((tensors, said),) = stored.read(number) if state is None else Packed(*state)
            per_text.append(tensors["per_text"])
            sums.append(tensors["sums"])
            labels.append(said["targets"])
            zero.append(told["zero"])
            cost.update(told["cost"])
        if len({len(own) for own in labels}) > 1:
            raise TargetError("the texts have different numbers of targets; name the targets explicitly.")
        every = torch.ones(self.space.concepts, dtype=torch.bool)
        notes = absence_note(self.space, torch.stack(sums).sum(0), len(activations), every)
        notes += tuple(zero[0]) if all(zero) else ()
        return Found(torch.cat(per_text), self._labels(labels), notes, Cost(**cost))

    def _shards(self, activations: Activations, size: int) -> Iterator[Shard]:
        own = isinstance(self.targets, list) and self.split.model.head not in CLASSIFIERS | GENERATORS
        if own and len(self.targets) != len(activations.texts):
            raise TargetError(
                f"{len(self.targets)} targets were given in a list for {len(activations.texts)} texts; one each was "
                "expected. Use a tuple to give several for every text."
            )
        for number, first in enumerate(range(0, len(activations.texts), size)):
            stop = min(first + size, len(activations.texts))
            beside = {"targets": tuple(self.targets[first:stop])} if own else {}
            yield Shard(number, first, tuple(range(first, stop)), beside, of_texts(activations, first, stop))

    def _labels(self, labels: list[list[str]]) -> tuple[str, ...]:
        """The names of the targets, those that differ from shard to shard by their kind."""
        kind, first = OWN.get(self.split.model.head, "target"), labels[0]
        kinds = [f"{kind} {i + 1}" for i in range(len(first))] if len(first) > 1 else [kind]
        columns = zip(*labels, strict=True)
        return tuple(own[0] if len(set(own)) == 1 else name for own, name in zip(columns, kinds, strict=True))

    def _folder(self, place: Path, activations: Activations, shard_size: int) -> Folder:
        known, sample = identity_of(self.split.model)
        settings = {
            "holds": "importance",
            "method": name_of(self.method),
            "parameters": described(parameters_of(self.method)),
            "program": code_of(self.method),
            "layer": self.split.path,
            "granularity": activations.granularity,
            "space": described(self.space),
            "targets": described(self.targets),
            "score": self.options.score,
            "max_rows": self.options.max_rows,
            "shard_size": shard_size,
        }
        return Folder(place, "run", {**known, **settings}, sample)
