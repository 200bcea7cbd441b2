"""Means over independent draws with their standard errors, stopped when they are good enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import torch
from interp_core.errors import InputError
from interp_core.statistics._intervals import t_quantile
from jaxtyping import Float
from torch import Tensor

FEWEST = 32  # draws before an error is believed


def averaged(
    draw: Callable[[int], Float[Tensor, "n k u"]], samples: int, tolerance: float | None = None
) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
    """The mean of independent draws, and its standard error.

    Args:
        draw: gives that many new draws, (count, k, u).
        samples: the most draws.
        tolerance: stop once no standard error is above it (in units of the score); looked at after 32 draws and then
            each time their number has grown by half, so that the error is not chosen for being small by chance. None
            for all of them.

    Returns:
        The mean and its standard error (k, u), in 64 bits; the error of a single draw is infinite. With few draws it is
        widened as Student's t says, so that 1.96 errors on either side hold the truth in 95 of 100 runs.
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    error = torch.zeros(())
    for size in portions(samples, tolerance):
        values = draw(size).detach().double().cpu()
        shift = values.mean(0) - mean
        within = (values - values.mean(0)).square().sum(0)
        squares = squares + within + shift.square() * count * size / (count + size)
        mean = mean + shift * size / (count + size)
        count += size
        spread = (squares / max(1, count - 1) / count).sqrt()
        error = spread * t_quantile(0.95, count - 1) / 1.959964 if count > 1 else torch.full_like(mean, torch.inf)
        if tolerance is not None and count >= FEWEST and bool((error <= tolerance).all()):
            break
    return mean, error


def portions(samples: int, tolerance: float | None) -> Iterator[int]:
    """The numbers of draws to make at a time: all at once, or so that one can stop in between."""
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
    """Refuse numbers of draws and tolerances that cannot be.

    Raises:
        InputError: fewer draws than `least`, or a tolerance that is not positive.
    """
    if samples < least:
        raise InputError(f"samples is {samples}; at least {least} are needed.")
    if tolerance is not None and not tolerance > 0:
        raise InputError(f"tolerance is {tolerance}; a positive standard error was expected, or None.")
