"""Means over independent draws with standard errors, which can stop the sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import torch
from interp_core.errors import InputError
from interp_core.statistics._intervals import widening
from jaxtyping import Float
from torch import Tensor

FEWEST = 32  # draws before a standard error is relied on


def averaged(
    draw: Callable[[int], Float[Tensor, "n k u"]], samples: int, tolerance: float | None = None
) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
    """Compute the mean of independent draws and its standard error.

    Args:
        draw: a function from a number n to n new draws (n, k, u).
        samples: the maximum number of draws, at least 1.
        tolerance: stop once no standard error exceeds this, in units of the draws. It is compared only after each
            portion of draws, see `portions`, because frequent looks would favour errors that are small by chance. None
            makes all draws.

    Returns:
        The mean (k, u) and its standard error (k, u), both float64. For few draws, the error is widened by Student's t
        distribution, so that the mean ± 1.96 errors is a 95 % interval; it is infinite for a single draw.

    Examples:
        Draws that alternate between 1 and 3, until the standard error is small enough:

        >>> from interp_core.statistics import averaged
        >>> sizes = []
        >>> def draw(count):
        ...     sizes.append(count)
        ...     return torch.tensor([1.0, 3.0]).repeat(count)[:count, None, None]
        >>> mean, error = averaged(draw, samples=10_000, tolerance=0.14)
        >>> mean.item(), round(error.item(), 2), sizes
        (2.0, 0.13, [32, 32])
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    error = torch.zeros(())
    for size in portions(samples, tolerance):
        values = draw(size).detach().cpu().double()
        shift = values.mean(0) - mean
        within = (values - values.mean(0)).square().sum(0)
        squares = squares + within + shift.square() * count * size / (count + size)
        mean = mean + shift * size / (count + size)
        count += size
        spread = (squares / max(1, count - 1) / count).sqrt()
        error = spread * widening(count - 1) if count > 1 else torch.full_like(mean, torch.inf)
        if tolerance is not None and count >= FEWEST and bool((error <= tolerance).all()):
            break
    return mean, error


def portions(samples: int, tolerance: float | None) -> Iterator[int]:
    """Divide draws into portions, between which sampling can stop.

    Args:
        samples: the total number of draws.
        tolerance: the standard error at which sampling stops; with None, all draws are one portion.

    Yields:
        The size of each portion: 32, then half the number of draws so far but at least 32, until `samples` is reached.

    Examples:
        >>> from interp_core.statistics import portions
        >>> list(portions(200, tolerance=0.1)), list(portions(200, tolerance=None))
        ([32, 32, 32, 48, 56], [200])
    """
    if tolerance is None:
        yield samples
        return
    done = 0
    for growth in chain([0.0], repeat(0.5)):
        size = min(samples - done, max(FEWEST, int(done * growth)))
        if size < 1:
            return
        yield size
        done += size


def check_sampling(samples: int, least: int, tolerance: float | None) -> None:
    """Check the number of draws and the tolerance of a method that samples.

    Args:
        samples: the number of draws.
        least: the minimum number of draws that the method needs.
        tolerance: the standard error at which sampling stops, or None.

    Raises:
        InputError: there are fewer draws than `least`, or the tolerance is not positive.

    Examples:
        >>> from interp_core.statistics import check_sampling
        >>> check_sampling(samples=1, least=2, tolerance=None)
        Traceback (most recent call last):
        interp_core.errors.InputError: samples is 1; at least 2 are needed.
    """
    if samples < least:
        raise InputError(f"samples is {samples}; at least {least} are needed.")
    if tolerance is not None and not tolerance > 0:
        raise InputError(f"tolerance is {tolerance}; a positive standard error was expected, or None.")
