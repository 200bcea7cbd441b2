"""Areas under the curve of true against false positives."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def aurocs(values: Float[np.ndarray, "n c"], member: Bool[np.ndarray, "n k"]) -> Float[np.ndarray, "k c"]:
    """The share of pairs of a row with the label and one without it in which the first has the greater value; equal
    values count half.

    Source:
        By the ranks of the values, Mann, Whitney 1947.
    """
    inside = member.sum(axis=0)[:, None]
    ranks = member.T.astype(float) @ rankdata(values, axis=0)
    found: np.ndarray = (ranks - inside * (inside + 1) / 2) / (inside * (len(member) - inside))
    return found
