"""Codes for a dictionary, then a dictionary for the codes, over and over, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.display import progress_bar
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from interp_semi_nmf.nnls import nearly, nnls
from interp_semi_nmf.seeding import centres
from interp_semi_nmf.space import AdditiveSpace

STARTS, SAMPLE = 10, 4096  # clusterings to choose a start from, and how many rows they see


class Sums(NamedTuple):
    """All that a dictionary needs to know of the rows X and their codes Z, however many there are; float64."""

    moment: Float[Tensor, "c c"]  # Z'Z
    cross: Float[Tensor, "c d"]  # Z'X
    squares: float  # ‖X‖²

    def error(self, dictionary: Float[Tensor, "c d"]) -> float:
        """‖X - Z D‖²."""
        fitted = (self.moment * (dictionary @ dictionary.T)).sum() - 2 * (self.cross * dictionary).sum()
        return self.squares + float(fitted)


Improve = Callable[[Sums, Float[Tensor, "c d"]], Float[Tensor, "c d"]]
"""A dictionary that fits the codes no worse than the one given; its rows may have any length but zero."""


class Start(NamedTuple):
    """A dictionary (rows of length 1) and the part of the rows it is of; float64, on the device to compute on."""

    dictionary: Float[Tensor, "c d"]
    part: Float[Tensor, "m d"]


def started(activations: Activations, concepts: int, seed: int, device: str, improve: Improve) -> Start:
    """The best of a few clusterings of a part of the rows: a single one may put two centres on one direction.

    Raises:
        InputError: all rows of that part are zero.
    """
    generator = torch.Generator().manual_seed(seed)
    part = activations.sample(max(SAMPLE, concepts), generator).to(device, torch.float64)
    if not part.any():
        drawn = "" if len(part) == len(activations) else f" drawn from {len(activations)}"
        raise InputError(
            f"all {len(part)} rows{drawn} of {activations.layer!r} are zero; there is nothing to learn from."
        )
    starts = [centres(part, concepts, generator) for _ in range(STARTS)]
    sums = [sums_over([part], start, nearly) for start in starts]
    errors = [one.error(improve(one, start)) for one, start in zip(sums, starts, strict=True)]
    return Start(starts[errors.index(min(errors))], part)


def alternated(activations: Activations, start: Start, improve: Improve, steps: int, tolerance: float) -> AdditiveSpace:
    """The space that is reached from a dictionary by exact codes and improved dictionaries in turn.

    Each step goes through all rows once, in batches, and keeps their sums alone: memory does not grow with the rows,
    and the result is that of all rows at once. Where the start has seen a part of them, it is first improved on that
    part, which saves steps. The history's `loss` is the squared error of all rows after each step, over the sum of all
    squares; it never rises.

    Args:
        steps: how many, at most, on the part and on all rows.
        tolerance: stops when a step lowers the loss by no more than this.
    """
    dictionary = start.dictionary
    if len(start.part) < len(activations):
        dictionary = _improved(lambda: [start.part], dictionary, improve, steps, tolerance)[0]
    dictionary, losses, sums = _improved(activations.batches, dictionary, improve, steps, tolerance)
    space = AdditiveSpace(dictionary.float().cpu())
    space.history = {"loss": losses}
    settled = any(before - after <= tolerance for before, after in pairwise(losses))
    notes = [] if settled else [f"it did not settle within {steps} steps; allow more."]
    unused = int((sums.moment.diagonal() == 0).sum())
    if unused:
        notes.append(f"{unused} of {len(dictionary)} concepts are active in no row; ask for fewer.")
    space.notes = tuple(notes)
    return space


def _improved(
    batches: Callable[[], Iterable[Tensor]],
    dictionary: Float[Tensor, "c d"],
    improve: Improve,
    steps: int,
    tolerance: float,
) -> tuple[Float[Tensor, "c d"], list[float], Sums]:
    """The dictionary after the last step, the loss after each, and the sums of the last."""
    losses: list[float] = []
    for _ in progress_bar(range(steps), "alternating least squares"):
        sums = sums_over(batches(), dictionary)
        dictionary = improve(sums, dictionary)
        losses.append(sums.error(dictionary) / sums.squares)
        dictionary = normalize(dictionary, dim=1)
        if len(losses) > 1 and losses[-2] - losses[-1] <= tolerance:
            break
    return dictionary, losses, sums


def sums_over(
    batches: Iterable[Float[Tensor, "b d"]],
    dictionary: Float[Tensor, "c d"],
    codes_of: Callable[[Tensor, Tensor], Tensor] = nnls,
) -> Sums:
    """The sums of some rows and their codes in a dictionary (rows of length 1)."""
    gram = dictionary @ dictionary.T
    moment, cross, squares = torch.zeros_like(gram), torch.zeros_like(dictionary), 0.0
    for batch in batches:
        rows = batch.to(dictionary)
        codes = codes_of(gram, rows @ dictionary.T)
        moment += codes.T @ codes
        cross += codes.T @ rows
        squares += float(rows.square().sum())
    return Sums(moment, cross, squares)
