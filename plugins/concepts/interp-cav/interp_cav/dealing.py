"""Vectors of concepts, each learnt from texts of its own, and vectors of random texts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from interp_core.activations import Activations, names_of
from interp_core.errors import InputError
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

FEWEST = 2  # of texts with a concept, and without it


class Vectors(NamedTuple):
    """Vectors of c concepts.

    Attributes:
        names: of the concepts.
        concept: r vectors of each.
        random: s vectors for each, learnt from as many texts that were drawn at random.
        notes: what a reader should know.
    """

    names: list[str]
    concept: Float[Tensor, "c r d"]
    random: Float[Tensor, "c s d"]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Dealing:
    """How texts are divided among vectors.

    Args:
        parts: number of groups that the texts of a concept are divided into, with a vector for each, besides as many
            groups of texts without it; at least 2. Fewer where there are fewer texts, which a note says. More parts
            make the test sharper and the vectors less so.
        samples: number of vectors learnt from random texts, at least 2.
        seed: random seed of both.

    Raises:
        InputError: `parts` or `samples` is below 2.
    """

    parts: int = 20
    samples: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.parts < 2 or self.samples < 2:
            raise InputError(f"parts {self.parts}, samples {self.samples}: at least 2 vectors of each are compared.")

    def vectors(self, activations: Activations, method: Any) -> Vectors:
        """Learn the vectors of all concepts that two texts at least have, and two do not.

        Each is learnt with a seed of its own, if the method has one: the method's, plus 0, 1, 2, …

        Raises:
            InputError: there is no concept that two texts have and two do not.
        """
        having, names = concepts_of(activations)
        fewest = torch.minimum(having.sum(0), (~having).sum(0))
        kept = (fewest >= FEWEST).nonzero().flatten().tolist()
        if not kept:
            raise InputError(
                f"no concept of {', '.join(names)} has {FEWEST} texts with it and {FEWEST} without; give more texts."
            )
        parts = min(self.parts, int(fewest[kept].min()))
        generator = torch.Generator().manual_seed(self.seed)
        concept, random, learners = [], [], _reseeded(method)
        for own in having.T[kept]:
            size = int(min(own.sum(), (~own).sum())) // parts
            inside, outside = (_shuffled(texts.nonzero().flatten(), generator) for texts in (own, ~own))
            pairs = zip(inside.split(size)[:parts], outside.split(size)[:parts], strict=True)
            concept.append(torch.stack([_vector(activations, next(learners), *pair) for pair in pairs]))
            drawn = [_shuffled(torch.arange(len(own)), generator)[: 2 * size] for _ in range(self.samples)]
            random.append(torch.stack([_vector(activations, next(learners), *texts.split(size)) for texts in drawn]))
        notes = [f"{names[i]} has too few texts and is left out." for i in range(len(names)) if i not in kept]
        if parts < self.parts:
            rarest = names[kept[int(fewest[kept].argmin())]]
            notes.append(f"There are {parts} vectors a concept, not {self.parts}: {rarest} has too few texts for more.")
        return Vectors([names[i] for i in kept], torch.stack(concept), torch.stack(random), tuple(notes))


def concepts_of(activations: Activations) -> tuple[Bool[Tensor, "m c"], list[str]]:
    """Which texts have which concept, and what the concepts are called."""
    count = activations.membership("labels").shape[1]
    labels = activations.labels
    assert labels is not None
    return labels if labels.ndim == 2 else one_hot(labels, count).bool(), names_of(activations, count)


def _reseeded(method: Any) -> Iterator[Any]:
    """The method with one seed after the other, so that no chance is shared by two vectors."""
    if not hasattr(method, "seed"):
        return itertools.repeat(method)
    return (dataclasses.replace(method, seed=method.seed + i) for i in itertools.count())


def _vector(
    activations: Activations, method: Any, inside: Int[Tensor, " a"], outside: Int[Tensor, " b"]
) -> Float[Tensor, " d"]:
    """What the method learns to tell some texts from others by."""
    kept = torch.isin(torch.arange(len(activations.texts)), torch.cat([inside, outside])).nonzero().flatten()
    part = activations.select(torch.zeros(len(activations.texts), dtype=torch.bool).index_fill_(0, kept, True))
    labels = torch.isin(kept, inside)[:, None]
    found: Tensor = method.fit(dataclasses.replace(part, labels=labels, class_names=("concept",))).dictionary[0]
    return found


def _shuffled(values: Int[Tensor, " m"], generator: torch.Generator) -> Int[Tensor, " m"]:
    return values[torch.randperm(len(values), generator=generator)]
