"""The works, as scikit-learn does them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA

Work = Callable[[], Any]


def _fit(made: Callable[[], Any]) -> Callable[[dict[str, Any]], Work]:
    def work(asked: dict[str, Any]) -> Work:
        rows = numpy.load(asked["rows"])
        return lambda: made().fit(rows)

    return work


WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "PCA, 20 concepts": _fit(lambda: PCA(20)),
    "ICA, 20 concepts": _fit(lambda: FastICA(20, whiten="unit-variance", max_iter=400, random_state=0)),
    "k-means, 20 concepts, one start": _fit(lambda: KMeans(20, n_init=1, random_state=0)),
}
