"""The directions that every learnt concept is held against."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

STEPS = 1000


def mean_differences(x: Float[np.ndarray, "n d"], member: Bool[np.ndarray, "n k"]) -> Float[np.ndarray, "k d"]:
    """For each label the mean of the rows with it less the mean of those without."""
    return np.stack([x[having].mean(axis=0) - x[~having].mean(axis=0) for having in member.T])


def probes(x: Float[np.ndarray, "n d"], member: Bool[np.ndarray, "n k"], ridge: float) -> Float[np.ndarray, "k d"]:
    """For each label the weights of a logistic regression on standardised dimensions, for rows as they are."""
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    fitted = [LogisticRegression(C=1 / ridge, max_iter=STEPS).fit(scaled, having) for having in member.T]
    weight: np.ndarray = np.concatenate([one.coef_ for one in fitted]) / scaler.scale_
    return weight
