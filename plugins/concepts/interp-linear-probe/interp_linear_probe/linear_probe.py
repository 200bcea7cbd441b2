"""Linear probes as a concept space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError
from jaxtyping import Bool, Float

from interp_linear_probe.classifier import Classifier
from interp_linear_probe.held_out import HeldOut, held_out
from interp_linear_probe.labelled import labelled

DEPENDENT = 0.01  # of the variance of labels, all scaled to one: what has less is told by the other labels
SMALLEST = 1e-6  # of the largest codes: what differs by less differs by rounding alone, or as the solver stopped


@dataclass(frozen=True)
class LinearProbe:
    """Linear probes: for each class a linear classifier of the rows that have it against all others.

    A code is the decision of the classifier on the row: for `"logistic"` a logit, positive where the class is the more
    likely answer. The dictionary holds the pattern of each probe, not its weights: what the activations do when its
    decision rises by 1 and the others stay (weights also cancel what disturbs the decision). Decoding is the best
    linear reconstruction of a row from its decisions.

    Where labels depend on each other, so do decisions: of classes that exclude each other one cannot rise while the
    others stay. The patterns are then the shortest that reconstruct rows from decisions. For two such classes they are
    one direction and its opposite, each with half of the distance, since adding a concept raises its own decision by a
    half and lowers the other by as much.

    The notes say how well each class is told on held-out texts; rows of one text are never on both sides. `history`
    holds the same for each fold, as `auroc: joy` and `balanced accuracy: joy`, and as `threshold`, for each class in
    order, the decision with the highest balanced accuracy on held-out texts (0, the classifier's own, where nothing
    could be held out). Intervals are those of the mean over folds (Student's t, five folds or more). Since folds share
    most of the rows they learn from, they are somewhat too narrow.

    All rows are in memory at once, in float64.

    Args:
        kind: classifier: `"logistic"`, `"ridge"` (least squares of ±1) or `"svm"` (squared hinge loss).
        ridge: penalty on squared weights, against losses summed over rows; positive. For the classifier rows are
            centred and divided by one number, so that a typical row has length 1.
        folds: number of folds of the cross-validation by texts, at least 2; 0 for no scores, which is about `folds`
            times quicker.
        steps: maximum number of steps of the solver, at least 1; a class that was stopped is named in the notes.
            `"ridge"` is solved directly.
        tolerance: tolerance of the solver; positive.
        seed: random seed of the folds, and of the order in which `"svm"` goes through rows.

    Raises:
        InputError: `kind` is unknown, or another parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> activations = of_rows(rows, labels=torch.tensor([0, 0, 1, 1]), class_names=("joy", "anger"))
        >>> space = interp.fit_concepts(activations, by="linear-probe")
        >>> space.encode(rows)[:, 0] > 0, space.history["auroc: joy"]
        (tensor([ True,  True, False, False]), [1.0, 1.0])

    Source:
        Alain, Bengio 2016, arXiv:1610.01644, with scikit-learn's LogisticRegression(C=1/ridge), RidgeClassifier and
        LinearSVC(C=1/ridge), one class against the rest, on rows scaled by one number, which is folded into the
        weights. Patterns: Haufe et al. 2014, NeuroImage 87, equation 6, with as many independent decisions as labels.
    """

    kind: str = "logistic"
    ridge: float = 1.0
    folds: int = 5
    steps: int = 1000
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        self._classifier()
        if self.folds < 0 or self.folds == 1:
            raise InputError(f"folds is {self.folds}; at least 2 are needed, or 0 for no scores.")

    def fit(self, activations: Activations) -> AffineSpace:
        """Learn a probe for each class, in the order of the classes, whose names the concepts take.

        Returns:
            The space, with held-out scores in its notes and history.

        Raises:
            InputError: there are no classes, all rows have one class, or all rows are equal.
        """
        data, classifier = labelled(activations), self._classifier()
        lines = classifier.fit_each(data.x, data.member)
        weight, bias = np.stack([line.weight for line in lines]), np.array([line.bias for line in lines])
        space = space_of(data.x, weight, bias, independent(data.member))
        space.names = data.names
        if self.folds:
            scores = [held_out(classifier, data, i, self.folds) for i in range(len(lines))]
            space.history["threshold"] = [0.0 if score is None else score.threshold for score in scores]
            for name, score in zip(data.names, scores, strict=True):
                space.notes += (_note(name, score),)
                if score is not None:
                    space.history |= {f"auroc: {name}": score.auroc, f"balanced accuracy: {name}": score.accuracy}
        stopped = ", ".join(name for name, line in zip(data.names, lines, strict=True) if not line.settled)
        if stopped:
            space.notes += (f"The probes of {stopped} did not settle within {self.steps} steps; allow more.",)
        return space

    def _classifier(self) -> Classifier:
        return Classifier(self.kind, self.ridge, self.steps, self.tolerance, self.seed)


def independent(member: Bool[np.ndarray, "n k"]) -> int:
    """How many of k labels are independent, which is how many of their decisions can be.

    Decided by the labels, since the decisions of dependent labels are dependent up to rounding (two opposite classes,
    least squares) or nearly so (several classes that exclude each other), and would then be told apart by noise.
    """
    values = member - member.mean(axis=0)
    values /= np.linalg.norm(values, axis=0)
    return int((np.linalg.eigvalsh(values.T @ values) > DEPENDENT).sum())


def space_of(
    x: Float[np.ndarray, "n d"], weight: Float[np.ndarray, "k d"], bias: Float[np.ndarray, " k"], rank: int
) -> AffineSpace:
    """Codes `x · weight + bias`, and the way back that reconstructs these rows best (least squares) from so many
    combinations of codes as are independent.
    """
    centre = x.mean(axis=0)
    rows, size, codes = np.linalg.svd((x - centre) @ weight.T, full_matrices=False)
    rank = min(rank, int((size > SMALLEST * size[0]).sum()))
    pattern = (codes[:rank].T / size[:rank]) @ (rows[:, :rank].T @ (x - centre))
    origin = centre - (centre @ weight.T + bias) @ pattern  # what decodes from codes of zero
    return AffineSpace(*(torch.from_numpy(v) for v in (pattern, weight, origin, weight @ origin + bias)))


def _note(name: str, score: HeldOut | None) -> str:
    if score is None:
        return f"{name}: fewer than two texts with or without it, so that none could be held out."
    return f"{name}, held out: {score} ({len(score.auroc)} folds by text)."
