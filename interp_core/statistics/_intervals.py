"""Confidence intervals of means over inputs."""

from __future__ import annotations

import math
from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

FEWEST = 5  # values; an interval of fewer would say too little


def interval_of_mean(values: Float[Tensor, " n"], level: float = 0.95) -> tuple[float, float] | None:
    """Compute the confidence interval of a mean, by Student's t distribution.

    Args:
        values: (n) one value for each input.
        level: the confidence level, between 0 and 1: the share of random samples of inputs whose interval contains the
            mean over all inputs of this kind.

    Returns:
        The lower and the upper end, or None for fewer than five values.

    Examples:
        >>> from interp_core.statistics import interval_of_mean
        >>> low, high = interval_of_mean(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
        >>> round(low, 2), round(high, 2)
        (1.04, 4.96)
    """
    n = len(values)
    if n < FEWEST:
        return None
    mean, half = float(values.mean()), t_quantile(level, n - 1) * float(values.std()) / n**0.5
    return (mean - half, mean + half)


def widening(degrees: int) -> float:
    """Compute the factor that widens a standard error of few draws, so that ±1.96 errors are a 95 % interval.

    Args:
        degrees: the degrees of freedom of the error; for a mean, the number of draws minus one.

    Returns:
        The two-sided 95 % quantile of Student's t divided by that of the normal distribution; infinite for fewer than
        one degree.

    Examples:
        >>> from interp_core.statistics import widening
        >>> [round(widening(degrees), 2) for degrees in (0, 1, 11, 100)]
        [inf, 6.48, 1.12, 1.01]
    """
    return t_quantile(0.95, degrees) / 1.959964 if degrees > 0 else math.inf


@lru_cache(1024)
def t_quantile(level: float, degrees: int) -> float:
    """The t for which a Student's t variable lies within (-t, t) with probability `level`, by bisection."""
    low, high = 0.0, 1.0
    while t_within(high, degrees) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, degrees) < level else (low, middle)
    return (low + high) / 2


def t_within(t: float, degrees: int) -> float:
    """The probability that a Student's t variable lies within (-t, t).

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
