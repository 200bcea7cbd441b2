"""Sobol indices: share of the score's variance over random masks that is due to a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError, unknown
from interp_core.statistics import check_sampling, portions, widening
from jaxtyping import Bool, Float
from torch import Tensor

CONSTANT = 1e-6  # of the score: what differs by less than this share differs by rounding alone

MANY = 10_000  # draws from which on Student's t is the normal distribution


@dataclass(frozen=True)
class Sobol:
    """Sobol indices: the share of the variance of the score over random masks that is due to each unit.

    Each mask keeps each unit with probability 1/2. The total index of a unit is the share of the variance that remains
    when all other units are known: its own and that of every interaction it takes part in. The first-order index is the
    share that disappears when the unit alone is known.

    Indices are shares from 0 to 1, without a sign: they say what matters, not in which direction. Total indices add up
    to 1 or more, first-order indices to 1 or less. Where the score is additive both are a quarter of the squared
    contribution of the unit over the variance; where it is constant they are 0. Estimates of the total index are never
    negative. The cost is (u + 1) rows of the model for each mask, for u units.

    Args:
        samples: number of masks, at least 2; around each, every unit is changed once. When all 2^u masks cost no more
            rows, each is evaluated once and the result is exact.
        order: `"total"` or `"first"`.
        tolerance: stop once no standard error is above it, as a share of the variance; positive. None takes all
            samples.
        seed: random seed of the masks.

    Raises:
        InputError: `samples` is below 2, `order` is unknown, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="sobol", targets="class 0")
        >>> found.scores  # 3² and 2², each over 3² + 2²
        tensor([[0.6923, 0.0000, 0.3077]])

    Source:
        Fel et al. 2021, arXiv:2111.04138, section 3, with Jansen's estimator of the total index (Jansen 1999, Computer
        Physics Communications 117). Departs from it in that units are removed or not, in place of fading; in that the
        unit is always changed, since a Boolean that is drawn anew stays the same half of the time; and in independent
        masks in place of a Sobol sequence: in a few dozen Boolean masks of such a sequence units have equal columns,
        and there is no valid error.
    """

    samples: int = 64
    order: str = "total"
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2, self.tolerance)
        if self.order not in EFFECTS:
            raise InputError(unknown("order", self.order, EFFECTS))

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target.

        Returns:
            The indices, and their standard errors, which are 0 when all masks were evaluated.
        """
        u = len(question.units)
        if every_mask_fits(question, self.samples * (u + 1)):
            keep = (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1
            index, _ = shares(keep, around(question, keep), self.order, math.inf)
            return index, torch.zeros_like(index)
        generator = torch.Generator().manual_seed(self.seed)
        keep, scores = torch.zeros(0, u, dtype=torch.bool), torch.zeros(0, u + 1, len(question.targets)).double()
        error = torch.zeros(())
        for count in portions(question.afford(self.samples, rows_each=u + 1), self.tolerance):
            drawn = torch.rand(count, u, generator=generator) < 0.5
            keep, scores = torch.cat([keep, drawn]), torch.cat([scores, around(question, drawn)])
            index, error = shares(keep, scores, self.order, len(keep))
            if self.tolerance is not None and bool((error <= self.tolerance).all()):
                break
        return index, error


class Effect(NamedTuple):
    """A part of the variance, how far each draw pulls at its estimate, and the variance that this does not show."""

    value: Float[Tensor, "u k"]
    pull: Float[Tensor, "n u k"]
    hidden: Float[Tensor, "u k"]


def total_effect(brings: Float[Tensor, "n u k"], draws: float) -> Effect:
    """The mean variance that is left when all other units are known: of two equally likely values the squared half
    difference.
    """
    own = (brings / 2).square()
    value = own.mean(dim=0)
    return Effect(value, own - value, torch.zeros_like(value))


def first_effect(brings: Float[Tensor, "n u k"], draws: float) -> Effect:
    """The variance of the mean score between the masks with and without the unit, without the bias of a square."""
    half = brings / 2
    mean, noise = half.mean(dim=0), half.var(dim=0, correction=0) / max(1.0, draws - 1)
    return Effect(mean.square() - noise, 2 * mean * (half - mean), 2 * noise.square())


EFFECTS = {"total": total_effect, "first": first_effect}


def shares(
    keep: Bool[Tensor, "n u"], scores: Float[Tensor, "n v k"], order: str, draws: float
) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
    """Effects over the variance, and their standard errors: those of a ratio of two means over independent draws, each
    draw judged by the ratio without it, and wider by Student's t where draws are few.

    Args:
        keep: the masks.
        scores: of each mask, and with each unit changed.
        order: which effect.
        draws: how many of the masks are drawn; infinity where they are all that there are.
    """
    brings = (scores[:, 1:] - scores[:, :1]) * (1 - 2 * keep.double())[:, :, None]  # with the unit less without it
    apart = (scores - scores.mean(dim=(0, 1))).square().mean(dim=1) / (1 - 1 / max(2.0, draws))  # (n, k)
    variance = apart.mean(dim=0)
    effect = EFFECTS[order](brings, draws)
    index = effect.value / variance
    rest = (1 - apart / apart.sum(dim=0)).clamp(min=1 / len(keep))[:, None]  # of the variance, without the draw
    pull = (effect.pull - index * (apart - variance)[:, None]) / rest
    noise = pull.square().mean(dim=0) / max(1.0, draws - 1)
    wider = widening(int(min(draws, MANY)) - 1)
    error = (noise + effect.hidden).sqrt() / variance * wider if draws > 1 else torch.full_like(index, torch.inf)
    varies = variance > (CONSTANT * scores.abs().amax(dim=(0, 1))).square()
    zero = torch.zeros(()).double()
    return index.clamp(min=0).where(varies, zero).T, error.where(varies, zero).T


def around(question: Question, keep: Bool[Tensor, "n u"]) -> Float[Tensor, "n v k"]:
    """The scores of masks, and of each mask with one unit changed at a time (v = 1 + u)."""
    changes = torch.eye(keep.shape[1] + 1, keep.shape[1], dtype=torch.bool).roll(1, dims=0)  # nothing, then each unit
    masks = keep[:, None] ^ changes
    scores: Tensor = question.masked(masks.flatten(0, 1)).double().unflatten(0, (len(keep), len(changes)))
    return scores


def every_mask_fits(question: Question, rows: int) -> bool:
    """Whether all 2^u masks are among so many rows and within the limit on rows."""
    u = len(question.units)
    room = rows if question.max_rows is None else min(rows, question.max_rows - question.rows)
    return u < 31 and 2**u <= room
