"""The lasso of scores on the units that are kept, along its exact path, judged by scores it was not fitted to."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import lars_path

PENALTIES = np.geomspace(1, 1e-4, 60)  # shares of the least penalty at which every weight is 0
FOLDS = 5


def fitted(
    keep: Float[np.ndarray, "p u"], scores: Float[np.ndarray, " p"], penalty: float | None
) -> tuple[Float[np.ndarray, " u"], Float[np.ndarray, " u"]]:
    """The weights of the units, and how far they may be from those of ever more variants.

    Args:
        keep: 1 for each unit of each variant that is kept, with probability 1/2, else 0.
        scores: of the variants.
        penalty: on the sum of the sizes of the weights of standardised columns; None chooses it by cross-validation.

    Returns:
        The weights, and for each the root of its variance and its squared shrinkage, both estimated from scores that
        were foretold without being fitted.
    """
    p = len(scores)
    scale = keep.std(axis=0)
    columns = (keep - keep.mean(axis=0)) / np.where(scale > 0, scale, 1)
    most = np.abs(columns.T @ (scores - scores.mean())).max(initial=0) / p
    if not most:
        return np.zeros(keep.shape[1]), np.zeros(keep.shape[1])
    penalties = most * PENALTIES if penalty is None else np.array([penalty])
    missed = np.zeros((len(penalties), p))
    fold = np.arange(p) % min(FOLDS, p)
    for one in range(fold.max() + 1):
        out = fold == one
        middle, level = columns[~out].mean(axis=0), scores[~out].mean()
        line = path(columns[~out] - middle, scores[~out] - level, penalties)
        missed[:, out] = (scores[out] - level) - ((columns[out] - middle) @ line).T
    best = int(np.square(missed).mean(axis=1).argmin())
    weights = path(columns, scores - scores.mean(), penalties)[:, best] / np.where(scale > 0, scale, 1)
    pulls = 2 * (2 * keep - 1) * missed[best][:, None]  # the covariance of independent halves is 1/4
    return weights, np.sqrt(pulls.var(axis=0, ddof=1) / p + np.square(pulls.mean(axis=0)))


def path(
    columns: Float[np.ndarray, "p u"], scores: Float[np.ndarray, " p"], penalties: Float[np.ndarray, " a"]
) -> Float[np.ndarray, "u a"]:
    """The weights of the lasso at each penalty, from the largest to the smallest, of centred columns and scores.

    Between its knots the path is straight, so that each point of it is known exactly.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that few variants cannot tell apart one is taken
        knots, _, weights = lars_path(columns, scores, method="lasso", alpha_min=penalties[-1])
    return np.stack([np.interp(penalties, knots[::-1], one[::-1]) for one in weights])
