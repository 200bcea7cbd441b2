"""One linear classifier of rows with a class and rows without it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from interp_core.errors import InputError, unknown
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

KINDS = ("logistic", "ridge", "svm")


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


@dataclass(frozen=True)
class Classifier:
    """How a line is found.

    Args:
        kind: "logistic" (log loss), "ridge" (squared error of ±1) or "svm" (squared hinge loss).
        ridge: penalty on squared weights of standardised dimensions, against losses summed over rows.
        steps: of the solver, at most; "ridge" is solved directly.
        tolerance: of the solver.
        seed: of the order in which "svm" goes through rows.

    Source: scikit-learn's LogisticRegression(C=1/ridge), RidgeClassifier(alpha=ridge) and LinearSVC(C=1/ridge) after
    StandardScaler. LinearSVC also penalises the bias.
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
        """The line between the rows that have the class and those that do not; standardisation is folded into it."""
        scaler = StandardScaler().fit(x)
        estimator = self._estimator()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            estimator.fit(scaler.transform(x), having)
        weight = estimator.coef_.ravel() / scaler.scale_
        bias = float(np.ravel(estimator.intercept_)[0] - weight @ scaler.mean_)
        return Line(weight, bias, not any(issubclass(w.category, ConvergenceWarning) for w in said))

    def _estimator(self) -> Any:
        settings = {"tol": self.tolerance, "max_iter": self.steps}
        if self.kind == "logistic":
            return LogisticRegression(C=1 / self.ridge, **settings)
        if self.kind == "svm":
            return LinearSVC(C=1 / self.ridge, random_state=self.seed, **settings)
        return RidgeClassifier(alpha=self.ridge)
