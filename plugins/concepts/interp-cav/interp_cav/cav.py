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
    """Concept activation vectors (CAV): the unit normal of a linear classifier for each class.

    A code is the distance of a row from the separating plane, in the units of the activations, positive on the side of
    the class. The dictionary holds the unit normals; `tcav` asks how an answer changes along them. Directions of
    different classes are not orthogonal, so their codes overlap, and decoding is no reconstruction.

    All rows are in memory at once, in float64.

    Args:
        against: which rows a class is told from: `"rest"`, all rows without it, or `"random"`, as many of these, drawn
            at random, as rows have the class.
        kind: classifier: `"logistic"`, `"ridge"` or `"svm"`, as in `linear-probe`.
        ridge: penalty on squared weights, against losses summed over rows; positive. For the classifier rows are
            centred and divided by one number, so that a typical row has length 1.
        steps: maximum number of steps of the solver, at least 1; a class that was stopped is named in the notes.
        tolerance: tolerance of the solver; positive.
        seed: random seed of the rows drawn by `against="random"`, and of the solver of `"svm"`.

    Raises:
        InputError: `against` or `kind` is unknown, or another parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = interp.fit_concepts(activations, by="cav")
        >>> space.names, space.encode(rows)[:, 0] > 0
        (['joy', 'anger'], tensor([ True,  True, False, False]))

    Source:
        Kim et al. 2018, arXiv:1711.11279, section 3.2. Random rows are drawn among those without the concept, in the
        paper from any. Rows are scaled by one number for the classifier, and the normal is that in the unscaled
        activations.
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
        """Learn a vector for each class, in the order of the classes, whose names the concepts take.

        Returns:
            The space, with a concept for each class.

        Raises:
            InputError: there are no classes, all rows have one class, or nothing tells the rows of a class from others.
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
