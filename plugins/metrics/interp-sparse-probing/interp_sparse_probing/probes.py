"""Logistic regressions in which rows with a label weigh, together, as much as rows without it."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from interp_concept_detection.labelled import Halves
from interp_core.activations import Activations
from interp_core.statistics import interval_of_mean
from interp_linear_probe.classifier import Line, typical_length
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from interp_sparse_probing.contrasts import both

STEPS = 1000


class Told(NamedTuple):
    """How well labels are told, from 0 to 1.

    Attributes:
        balanced: the mean of the shares of rows with and without the label that are told right.
        f1: 2 rows rightly said to have the label / (rows that have it + rows said to have it).
        accuracy: the share of all rows that are told right.
    """

    balanced: float
    f1: float
    accuracy: float


def told(said: Bool[np.ndarray, " n"], having: Bool[np.ndarray, " n"]) -> Told:
    """How well rows with a label, and rows without it, are told; there must be both."""
    right, wrong = int((said & having).sum()), int((said & ~having).sum())
    inside, outside = int(having.sum()), int((~having).sum())
    return Told(
        (right / inside + 1 - wrong / outside) / 2,
        2 * right / (inside + right + wrong),
        (right + outside - wrong) / len(having),
    )


def interval_over_labels(shares: Float[Tensor, " k"]) -> tuple[float, float] | None:
    """95 % interval of the mean of shares over labels, within 0 and 1; None for fewer than five labels."""
    interval = interval_of_mean(shares)
    return None if interval is None else (max(0.0, interval[0]), min(1.0, interval[1]))


def learning_rows(dealt: Halves, rows: int, seed: int) -> list[list[Int[np.ndarray, " m"]]]:
    """The rows of each half that each label is learnt from: at most `rows` / 2 that have it and as many that do not,
    drawn where there are more.
    """
    generator = np.random.default_rng(seed)

    def some(of: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
        index = np.flatnonzero(of)
        return index if len(index) <= rows // 2 else generator.choice(index, rows // 2, replace=False)

    return [
        [np.sort(np.concatenate([some(half & having), some(half & ~having)])) for having in dealt.member.T]
        for half in both(dealt)
    ]


def drawn_note(dealt: Halves, learnt: list[list[Int[np.ndarray, " m"]]]) -> tuple[str, ...]:
    """That not all rows were learnt from, if so."""
    most = max(len(index) for half in learnt for index in half)
    halves = [int(half.sum()) for half in both(dealt)]
    whole = all(len(index) == rows for half, rows in zip(learnt, halves, strict=True) for index in half)
    return () if whole else (f"Probes were learnt from at most {most:,} rows of a half, drawn at random.",)


def line_of_columns(x: Float[np.ndarray, "n k"], having: Bool[np.ndarray, " n"], ridge: float) -> Line:
    """The line between rows with and without a label, each column divided by its standard deviation while learning."""
    spread = x.std(axis=0)
    return _line(x, having, np.where(spread > 0, spread, 1.0), ridge)


def lines_of_rows(
    activations: Activations, dealt: Halves, learnt: list[list[Int[np.ndarray, " m"]]], ridge: float
) -> list[list[Line]]:
    """For each half and label the line between whole rows with and without it.

    All dimensions are divided by one number while learning: divided by its own spread, a dimension that hardly varies
    would weigh as much as any other.
    """
    lines: list[list[Line]] = []
    for half in learnt:
        lines.append([])
        for index, having in zip(half, dealt.member.T, strict=True):
            x = activations.values[torch.from_numpy(index)].double().numpy()
            lines[-1].append(_line(x, having[index], np.array(typical_length(x)), ridge))
    return lines


def decisions(activations: Activations, lines: list[list[Line]]) -> Float[np.ndarray, "2 n k"]:
    """What the lines that each half has taught say of every row: above 0 that it has the label."""
    weight = torch.from_numpy(np.stack([[line.weight for line in half] for half in lines]))
    bias = torch.tensor([[line.bias for line in half] for half in lines], dtype=torch.float64)
    parts = [torch.einsum("bd,hkd->hbk", rows.double(), weight) + bias[:, None] for rows in activations.batches()]
    return torch.cat(parts, dim=1).numpy()


def unsettled_note(lines: list[list[Line]], names: list[str]) -> tuple[str, ...]:
    """Which probes of whole rows were stopped, if any."""
    stopped = [name for i, name in enumerate(names) if not all(half[i].settled for half in lines)]
    return (f"The probes of {', '.join(stopped)} did not settle within {STEPS} steps.",) if stopped else ()


def _line(x: Float[np.ndarray, "n d"], having: Bool[np.ndarray, " n"], scale: np.ndarray, ridge: float) -> Line:
    centre = x.mean(axis=0)
    regression = LogisticRegression(C=1 / ridge, class_weight="balanced", max_iter=STEPS)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        regression.fit((x - centre) / scale, having)
    weight = regression.coef_.ravel() / scale
    settled = not any(issubclass(one.category, ConvergenceWarning) for one in said)
    return Line(weight, float(regression.intercept_[0] - weight @ centre), settled)
