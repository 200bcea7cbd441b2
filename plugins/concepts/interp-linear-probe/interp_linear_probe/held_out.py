"""How well a classifier tells a class on texts it has not seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from interp_core.statistics import interval_of_mean
from jaxtyping import Bool, Float
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold

from interp_linear_probe.classifier import Classifier
from interp_linear_probe.labelled import Labelled


class HeldOut(NamedTuple):
    """Scores of one class, a number for each fold.

    Attributes:
        auroc: area under the curve of true against false positives; chance is 0.5.
        accuracy: the mean of the shares of rows with and without the class that are told right at decision 0.
        threshold: the decision above which the mean of these shares would have been greatest, all folds together.
    """

    auroc: list[float]
    accuracy: list[float]
    threshold: float

    def __str__(self) -> str:
        return f"AUROC {_with_interval(self.auroc)}, balanced accuracy {_with_interval(self.accuracy)}"


def held_out(classifier: Classifier, data: Labelled, concept: int, folds: int) -> HeldOut | None:
    """The scores of one class where each text is held out once, with all of its rows; None where fewer than two texts
    have the class, or fewer than two do not.

    Folds have equal shares of the class, and at most as many folds as texts with or without it are made.
    """
    _, first, text = np.unique(data.text, return_index=True, return_inverse=True)
    having, of_text = data.member[:, concept], data.member[first, concept]
    folds = min(folds, int(of_text.sum()), int((~of_text).sum()))
    if folds < 2:
        return None
    decision = np.zeros(len(having))
    auroc, accuracy = [], []
    dealt = StratifiedKFold(folds, shuffle=True, random_state=classifier.seed)
    for _, out in dealt.split(of_text, of_text):
        unseen = np.isin(text, out)
        line = classifier.fit(data.x[~unseen], having[~unseen])
        decision[unseen] = data.x[unseen] @ line.weight + line.bias
        auroc.append(float(roc_auc_score(having[unseen], decision[unseen])))
        accuracy.append(float(balanced_accuracy_score(having[unseen], decision[unseen] > 0)))
    return HeldOut(auroc, accuracy, best_threshold(having, decision))


def best_threshold(having: Bool[np.ndarray, " n"], decision: Float[np.ndarray, " n"]) -> float:
    """The decision above which rows are said to have the class, so that the balanced accuracy is greatest; in the
    middle between two decisions.
    """
    wrong, right, at_least = roc_curve(having, decision, drop_intermediate=False)
    best = 1 + int((right - wrong)[1:].argmax())  # the first stands for no row at all
    below = at_least[best + 1] if best + 1 < len(at_least) else at_least[best] - 2
    return float((at_least[best] + below) / 2)


def _with_interval(folds: list[float]) -> str:
    values = torch.tensor(folds)
    interval = interval_of_mean(values)
    said = "" if interval is None else f" [{max(0.0, interval[0]):.3f}, {min(1.0, interval[1]):.3f}]"
    return f"{float(values.mean()):.3f}{said}"
