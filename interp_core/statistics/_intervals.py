"""How sure a mean over inputs is."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

FEWEST = 5


def interval_of_mean(values: Float[Tensor, " n"], level: float = 0.95) -> tuple[float, float] | None:
    """The interval that holds the mean of all such inputs in `level` of samples (Student's t); None for fewer than five
    values, of which too little can be said.
    """
    n = len(values)
    if n < FEWEST:
        return None
    mean, half = float(values.mean()), t_quantile(level, n - 1) * float(values.std()) / n**0.5
    return (mean - half, mean + half)


def t_quantile(level: float, degrees: int) -> float:
    """What Student's t stays within, on both sides of 0, with probability `level`; by bisection."""
    low, high = 0.0, 1.0
    while t_within(high, degrees) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, degrees) < level else (low, middle)
    return (low + high) / 2


def t_within(t: float, degrees: int) -> float:
    """The probability that Student's t is within (-t, t).

    Source: Abramowitz, Stegun 1964, 26.7.3 (odd degrees of freedom) and 26.7.4 (even).
    """
    angle = math.atan(t / math.sqrt(degrees))
    cos, term = math.cos(angle), 1.0
    if degrees % 2:
        term, total = cos, cos if degrees > 1 else 0.0
        for i in range(3, degrees - 1, 2):
            term *= cos * cos * (i - 1) / i
            total += term
        return 2 / math.pi * (angle + math.sin(angle) * total)
    total = term
    for i in range(2, degrees - 1, 2):
        term *= cos * cos * (i - 1) / i
        total += term
    return math.sin(angle) * total
