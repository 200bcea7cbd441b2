"""Evaluation of results: scores with chance levels, the verb `measure`, and the benchmark of attribution methods."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.metrics._attribution_metrics import ModelAccess
    from interp_core.metrics._benchmark import Benchmark, Row
    from interp_core.metrics._benchmarking import benchmark
    from interp_core.metrics._measure import measure
    from interp_core.metrics._random_baselines import RandomDirections, RandomFit
    from interp_core.metrics._score import Score

__all__ = [
    "Benchmark",
    "ModelAccess",
    "RandomDirections",
    "RandomFit",
    "Row",
    "Score",
    "benchmark",
    "measure",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_attribution_metrics": ["ModelAccess"],
        "_benchmark": ["Benchmark", "Row"],
        "_benchmarking": ["benchmark"],
        "_measure": ["measure"],
        "_random_baselines": ["RandomDirections", "RandomFit"],
        "_score": ["Score"],
    },
)
