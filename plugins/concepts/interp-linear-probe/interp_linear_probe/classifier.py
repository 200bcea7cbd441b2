"""Linear classifiers of rows with a class and rows without it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from interp_core.errors import InputError, unknown
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import LinearSVC

KINDS = ("logistic", "ridge", "svm")
CONSTANT = 1e-6  # of the largest spread: a dimension that varies less does so by rounding


class Line(NamedTuple):
    """The decision `x · weight + bias`, above 0 for the class, of rows as they are.

    Attributes:
        weight: in units of the decision over units of the activations.
        bias: the decision at the origin.
        settled: False where the classifier was stopped before.
    """

    weight: Float[np.ndarray, " d"]
    bias: float
    settled: bool

    def opposite(self) -> Line:
        """The line of the rows that do not have the class."""
        return Line(-self.weight, -self.bias, self.settled)


@dataclass(frozen=True)
class Classifier:
    """How a line is found.

    Args:
        kind: "logistic" (log loss), "ridge" (squared error of ±1) or "svm" (squared hinge loss).
        ridge: penalty on squared weights, against losses summed over rows, of rows centred and divided by
            one number, so that a typical row has length 1.
        steps: of the solver, at most; "ridge" is solved directly.
        tolerance: of the solver.
        seed: of the order in which "svm" goes through rows.

    Source:
        scikit-learn's LogisticRegression(C=1/ridge), RidgeClassifier(alpha=ridge) and LinearSVC(C=1/ridge). LinearSVC
        also penalises the bias.
    """

    kind: str = "logistic"
    ridge: float = 1.0
    steps: int = 1000
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(unknown("kind", self.kind, KINDS))
        if not self.ridge > 0 or self.steps < 1 or not self.tolerance > 0:
            raise InputError(
                f"ridge {self.ridge}, steps {self.steps}, tolerance {self.tolerance}: a positive ridge, at least 1 "
                "step and a positive tolerance are needed."
            )

    def fit(self, x: Float[np.ndarray, "n d"], having: Bool[np.ndarray, " n"]) -> Line:
        """The line between the rows that have the class and those that do not, of rows as they are."""
        centre, size = x.mean(axis=0), typical_length(x)
        estimator = self._estimator()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            estimator.fit((x - centre) / size, having)
        weight = estimator.coef_.ravel() / size
        bias = float(np.ravel(estimator.intercept_)[0] - weight @ centre)
        return Line(weight, bias, not any(issubclass(w.category, ConvergenceWarning) for w in said))

    def fit_each(self, x: Float[np.ndarray, "n d"], member: Bool[np.ndarray, "n k"]) -> list[Line]:
        """A line for each class. A class that has just the rows that another has not is told by the opposite line."""
        known: dict[bytes, Line] = {}
        for having in member.T:
            own, rest = having.tobytes(), (~having).tobytes()
            if own not in known:
                known[own] = known[rest].opposite() if rest in known else self.fit(x, having)
        return [known[having.tobytes()] for having in member.T]

    def _estimator(self) -> Any:
        settings = {"tol": self.tolerance, "max_iter": self.steps}
        if self.kind == "logistic":
            return LogisticRegression(C=1 / self.ridge, **settings)
        if self.kind == "svm":
            return LinearSVC(C=1 / self.ridge, random_state=self.seed, **settings)
        return RidgeClassifier(alpha=self.ridge)


def typical_length(x: Float[np.ndarray, "n d"]) -> float:
    """How far rows are from their mean where all dimensions vary like the median one, of those that vary at all.

    One number for all dimensions, since dividing each by its own spread would make the most of those that hardly vary;
    and a median, since a few dimensions of transformers vary a hundred times as much as the others.
    """
    spread = x.std(axis=0)
    varying = spread[spread > CONSTANT * spread.max()]
    return float(np.median(varying) * len(spread) ** 0.5) if len(varying) else 1.0
