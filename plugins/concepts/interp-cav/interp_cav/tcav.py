"""TCAV: whether the classes of a model are sensitive to concepts, beside random ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_core.model import SplitModel
from interp_core.results import Cost, MadeBy, Value, counted, for_json, load_tensors, made_by, save_tensors
from jaxtyping import Float
from torch import Tensor

from interp_cav.cav import CAV
from interp_cav.dealing import Dealing
from interp_cav.significance import holm, two_sided
from interp_cav.slopes import class_slopes

LEVEL = 0.05  # of p, for a star
UNREAD = (
    "No logit depends on the rows, so that scores of 0 say nothing: the head does not read the positions that the rows "
    "stand for. Use rows of granularity 'cls', or split at a lower layer."
)


@dataclass(frozen=True, eq=False, repr=False)
class TCAV(Value):
    """TCAV scores: how sensitive each class of a model is to each concept; made by `tcav`.

    Attributes:
        scores: (k, c) the share of the inputs of a class whose logit rises along the concept, from 0 to 1; the mean
            over the vectors of the concept. 0.5 for a concept that means nothing to the class.
        p: (k, c) two-sided p-values for the mean being that of random vectors, corrected for all pairs by Holm's
            method.
        each: (k, c, r) the share for each of r vectors of a concept, learnt from different texts.
        random: (k, c, s) the share for each of s vectors that were learnt in the same way from random texts.
        classes: the k classes of the model that were given to some input.
        concepts: the c concepts.
        made_by: how it was made.
        notes: what a reader should know.
    """

    scores: Float[Tensor, "k c"]
    p: Float[Tensor, "k c"]
    each: Float[Tensor, "k c r"]
    random: Float[Tensor, "k c s"]
    classes: tuple[str, ...]
    concepts: tuple[str, ...]
    made_by: MadeBy = MadeBy("tcav")  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()

    def one_line(self) -> str:
        """What was compared, in less than one line."""
        stars = int((self.p < LEVEL).sum())
        return f"{len(self.classes)} classes, {counted(len(self.concepts), 'concept')}, {stars} pairs with p < {LEVEL}"

    def summary(self) -> str:
        """One line for each class; scores that differ from random ones (p < 0.05) have a star."""
        lines = []
        for name, scores, p in zip(self.classes, self.scores.tolist(), self.p.tolist(), strict=True):
            told = [f"{c} {s:.2f}{'*' * (q < LEVEL)}" for c, s, q in zip(self.concepts, scores, p, strict=True)]
            lines.append(f"{name}: {', '.join(told)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The scores and p-values as JSON values."""
        tensors = {name: getattr(self, name).tolist() for name in ("scores", "p", "each", "random")}
        data = {"classes": self.classes, "concepts": self.concepts, **tensors, "notes": list(self.notes)}
        return for_json({**data, "made_by": self.made_by.to_json()})

    def columns(self) -> dict[str, list[Any]]:
        """One row for each class and concept."""
        pairs = [(i, j) for i in range(len(self.classes)) for j in range(len(self.concepts))]
        return {
            "class": [self.classes[i] for i, _ in pairs],
            "concept": [self.concepts[j] for _, j in pairs],
            "score": [float(self.scores[i, j]) for i, j in pairs],
            "p": [float(self.p[i, j]) for i, j in pairs],
        }

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file."""
        tensors = {name: getattr(self, name) for name in ("scores", "p", "each", "random")}
        data = {name: getattr(self, name) for name in ("classes", "concepts", "notes")}
        return save_tensors(path, "tcav", tensors, {**data, "made_by": self.made_by.to_json()})

    @classmethod
    def load(cls, path: str | Path) -> TCAV:
        """Read what `save` wrote."""
        tensors, data = load_tensors(path, "tcav")
        told: dict[str, Any] = {name: tuple(data[name]) for name in ("classes", "concepts", "notes")} | tensors
        return cls(**told, made_by=MadeBy.from_json(data["made_by"]))


def tcav(
    split: SplitModel,
    activations: Activations,
    *,
    method: Any = None,
    inputs: Activations | None = None,
    dealing: Dealing = Dealing(),  # noqa: B008 - frozen
) -> TCAV:
    """TCAV: whether the classes of a model are sensitive to concepts, compared with vectors learnt from random texts.

    A vector is learnt several times for each concept, each time from other texts with and without it, and so are
    vectors of random texts. The TCAV score of a vector is the share of the inputs of a class whose logit rises along
    it; the scores of both are compared by a two-sided t-test. No text is used twice for a concept, so a concept of
    random labels is found to matter as rarely as the test says, which does not hold where all vectors of a concept
    share its texts.

    Args:
        split: the model, split where the activations were read.
        activations: texts with the concepts as labels, from which vectors are learnt.
        method: learns a vector from labels: `CAV()`, by default, or any other method of kind `concepts` that needs
            labels.
        inputs: the texts at which the model is asked, with their rows at the same layer; by default the activations.
            Each counts for the class that the model gives it. Those without predictions cost one more pass each.
        dealing: how texts are divided among vectors.

    Returns:
        The scores of all pairs of a class and a concept, with p-values corrected for all pairs.

    Raises:
        InputError: too few texts with or without any concept, activations of another layer, or a model without classes.

    Source:
        Kim et al. 2018, arXiv:1711.11279, equation 2 and section 3.4. In the paper the vectors of one concept share its
        texts, and the inputs of a class are those labelled so.
    """
    asked, learner = activations if inputs is None else inputs, CAV() if method is None else method
    cost = Cost()
    with cost.timed():
        found = sensitivity(class_slopes(split, asked, cost), activations, learner, dealing)
    settings = {"layer": split.path, "granularity": asked.granularity, "texts": len(asked.texts), **vars(dealing)}
    return replace(found, made_by=replace(made_by(learner, cost, split.model.name, settings), method="tcav"))


def sensitivity(
    slopes: dict[str, Float[Tensor, "_ d"]], activations: Activations, method: Any, dealing: Dealing
) -> TCAV:
    """The same from slopes that are known: for each class those of its logit at each of its inputs.

    Raises:
        InputError: no input of any class, or too few texts with or without any concept.
    """
    given = {name: own for name, own in slopes.items() if len(own)}
    if not given:
        raise InputError("there are no inputs of any class; give texts at which to ask the model.")
    found = dealing.vectors(activations, method)
    each = torch.stack([_shares(given, own) for own in found.concept], 1)
    random = torch.stack([_shares(given, own) for own in found.random], 1)
    flat = not any(bool(own.any()) for own in given.values())
    silent = [UNREAD] if flat else []
    missing = [f"No input was given the class {name}, which is left out." for name in slopes if name not in given]
    return TCAV(
        scores=each.mean(2),
        p=holm(two_sided(each.double(), random.double())).float(),
        each=each,
        random=random,
        classes=tuple(given),
        concepts=tuple(found.names),
        notes=(*silent, *found.notes, *missing),
    )


def _shares(slopes: dict[str, Float[Tensor, "_ d"]], vectors: Float[Tensor, "r d"]) -> Float[Tensor, "k r"]:
    """The share of the inputs of each class whose logit rises along each vector."""
    return torch.stack([(own @ vectors.T > 0).float().mean(0) for own in slopes.values()])
