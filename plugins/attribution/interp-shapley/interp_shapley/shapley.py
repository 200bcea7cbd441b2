"""Shapley values: what a unit adds to those before it, averaged over the orders of the units."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import torch
from interp_core.attribution import Question
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Shapley:
    """Shapley values: what a unit adds to the units before it, averaged over all orders of the units.

    When all 2^u subsets fit into `samples`, each is evaluated once, and the result is exact with an error of 0.
    Otherwise orders are drawn, each together with its reverse, in which each pair of units stands the other way round.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it. They always
    add up to score(intact) - score(emptied), since those of each order do. Standard errors are those of the means of
    pairs. The cost is about `samples` rows of the model.

    Args:
        samples: number of variants, at least 2, the intact and the empty text included; an order and its reverse take 2
            (u - 1) of them. At least two such pairs are drawn, whatever `samples`, since a single pair does not tell
            its error.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of the orders.

    Raises:
        InputError: `samples` is below 2, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="shapley", targets="class 0")
        >>> found.top(count=1), found.exact
        ([('happy', 3.0)], True)

    Source:
        Shapley 1953, A value for n-person games, equation 12. Sampling: Castro, Gómez, Tejada 2009, Polynomial
        calculation of the Shapley value based on sampling, section 3. Reverses: Mitchell et al. 2022, arXiv:2104.12199,
        section 3.3. Departs from them in that errors are those of the means of pairs.
    """

    samples: int = 512
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target. A unit that is applicable to no target takes no part.

        Returns:
            Signed scores, and their standard errors.
        """
        able = question.applicable.any(dim=0)
        answer = torch.zeros(2, *question.applicable.shape, dtype=torch.float64)
        u = int(able.sum())
        inner = 2**u - 2
        if inner + 2 <= self.samples and (not inner or question.afford(inner) == inner):
            answer[0][:, able] = exact(_scores(question, able, subsets(u)))
        else:
            answer[:, :, able] = torch.stack(self._sampled(question, able))
        return answer[0], answer[1]

    def _sampled(self, question: Question, able: Bool[Tensor, " n"]) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        u = int(able.sum())

        def draw(count: int) -> Float[Tensor, "n k u"]:
            forth = torch.stack([torch.randperm(u, generator=generator) for _ in range(count)])
            place = torch.stack([forth, u - 1 - forth], dim=1).flatten(0, 1)  # a reverse after each order
            keep = prefixes(place)
            scores = _scores(question, able, keep.flatten(0, 1)).unflatten(0, keep.shape[:2])
            both = added(scores, place)
            return (both[::2] + both[1::2]) / 2

        each = max(1, 2 * (u - 1))
        pairs = max(2, (self.samples - 2) // each)
        return averaged(draw, question.afford(pairs, each), self.tolerance)


def _scores(question: Question, able: Bool[Tensor, " n"], keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
    """The scores of variants of the units that take part; the others come last, so that the ends are those of all."""
    whole = keep.all(dim=1, keepdim=True).repeat(1, len(able))
    whole[:, able] = keep
    return question.masked(whole).double()


def subsets(u: int) -> Bool[Tensor, "p u"]:
    """All subsets of u units."""
    return (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1


def exact(scores: Float[Tensor, "p k"]) -> Float[Tensor, "k u"]:
    """Shapley values from the scores of all subsets, in the order of `subsets`."""
    u = len(scores).bit_length() - 1
    keep = subsets(u)
    size = keep.sum(dim=1)
    chance = [1 / (u * comb(u - 1, before)) for before in range(u)]  # that just these units come before a given one
    own = torch.tensor([0.0, *chance], dtype=torch.float64)[size]
    without = torch.tensor([*chance, 0.0], dtype=torch.float64)[size]
    return scores.T @ torch.where(keep, own[:, None], -without[:, None])


def prefixes(place: Int[Tensor, "p u"]) -> Bool[Tensor, "p s u"]:
    """The first 0, 1, … u units of each order, given the place of each unit."""
    return place[:, None, :] < torch.arange(place.shape[1] + 1)[None, :, None]


def added(scores: Float[Tensor, "p s k"], place: Int[Tensor, "p u"]) -> Float[Tensor, "p k u"]:
    """What each unit adds at its place, from the scores of the prefixes."""
    steps = scores.diff(dim=1)  # (p, u, k) in the order of the places
    return steps.gather(1, place[:, :, None].expand_as(steps)).transpose(1, 2)
