"""Concept activation vectors as a concept space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError, unknown
from interp_linear_probe.classifier import Classifier
from interp_linear_probe.labelled import labelled
from jaxtyping import Bool, Int

AGAINST = ("rest", "random")


@dataclass(frozen=True)
class CAV:
    """For each class the unit normal of a linear classifier between rows that have it and rows that do not.

    A code is the distance of a row from the separating plane, in units of the activations, above 0 on the side of the
    concept. The dictionary holds the unit normals, along which `tcav` asks how an answer changes. Directions of
    different classes are not orthogonal: their codes overlap, and decoding is no reconstruction.

    All rows are in memory at once, in float64.

    Args:
        against: what the rows of a class are told from: "rest", all rows without it, or "random", as many of these as
            rows have the class, drawn at random.
        kind: of classifier: "logistic", "ridge" or "svm", as in `linear-probe`.
        ridge: penalty on squared weights, against losses summed over rows, of rows centred and divided by
            one number, so that a typical row has length 1.
        steps: of the solver, at most; a class that was stopped is named in the notes.
        tolerance: of the solver.
        seed: of the random rows.

    Source: Kim et al. 2018, arXiv:1711.11279, section 3.2. Random rows are drawn among those without the concept, the
    paper's from any; rows are scaled by one number for the classifier, and the normal is that in the activations as
    they are.
    """

    against: str = "rest"
    kind: str = "logistic"
    ridge: float = 1.0
    steps: int = 1000
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        self._classifier()
        if self.against not in AGAINST:
            raise InputError(unknown("against", self.against, AGAINST))

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn a vector for each class, in the order of the classes, which give their names.

        Raises:
            InputError: no classes, a class that all rows have, or rows that are all equal.
        """
        data, classifier = labelled(activations), self._classifier()
        generator = torch.Generator().manual_seed(self.seed)
        if self.against == "rest":
            lines = classifier.fit_each(data.x, data.member)
        else:
            chosen = [(self._rows(having, generator), having) for having in data.member.T]
            lines = [classifier.fit(data.x[rows], having[rows]) for rows, having in chosen]
        length = np.array([np.linalg.norm(line.weight) for line in lines])
        if not length.all():
            raise InputError(f"nothing tells rows with {data.names[int(length.argmin())]!r} from others; leave it out.")
        normal = np.stack([line.weight for line in lines]) / length[:, None]
        offset = np.array([line.bias for line in lines]) / length
        mean = data.x.mean(axis=0)
        origin = mean - (normal @ mean + offset) @ normal  # what decodes from codes of zero, so that the mean row stays
        space = AffineSpace(*(torch.from_numpy(v) for v in (normal, normal, origin, normal @ origin + offset)))
        space.names = data.names
        stopped = ", ".join(name for name, line in zip(data.names, lines, strict=True) if not line.settled)
        if stopped:
            space.notes = (f"The classifiers of {stopped} did not settle within {self.steps} steps; allow more.",)
        return space

    def _classifier(self) -> Classifier:
        return Classifier(self.kind, self.ridge, self.steps, self.tolerance, self.seed)

    def _rows(self, having: Bool[np.ndarray, " n"], generator: torch.Generator) -> Int[np.ndarray, " r"]:
        """The rows that the classifier of one class is shown, in order."""
        inside, outside = np.flatnonzero(having), np.flatnonzero(~having)
        outside = outside[torch.randperm(len(outside), generator=generator)[: len(inside)].numpy()]
        return np.sort(np.concatenate([inside, outside]))
