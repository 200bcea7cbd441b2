"""RISE: what random masks that keep a unit score, and those that remove it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Rise:
    """RISE: the mean score of the random masks that keep a unit, less the mean score of those that remove it.

    A mask keeps each unit with probability 1/2. Each mask is drawn together with its complement, so that every unit is
    kept in exactly half of the masks and what all units have in common adds no noise. The difference of the means is
    the Banzhaf value of the unit.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it; they add up
    to score(intact) - score(emptied) only where the score is additive. The cost is `samples` rows of the model.

    Args:
        samples: number of masks, at least 4; a mask and its complement are one draw. When all 2^u masks fit, each is
            evaluated once and the result is exact.
        difference: False for the map of the paper, the mean score of the masks that keep the unit. All scores then lie
            close to the mean score of all masks, above or below it by half of the difference: the order is the same,
            and the sign is lost.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of the masks.

    Raises:
        InputError: `samples` is below 4, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="rise", targets="class 0")
        >>> found.scores, found.exact
        (tensor([[ 3.,  0., -2.]]), True)

    Source:
        Petsiuk, Das, Saenko 2018, arXiv:1806.07421, equation 6. Departs from it in the difference; in that masks are
        not upsampled, since units have no neighbours to blend into; and in the complements, with which it makes no
        difference whether one divides by the expected or the actual number of masks that keep a unit.
    """

    samples: int = 512
    difference: bool = True
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target.

        Returns:
            The scores, and their standard errors, which are 0 when all masks were evaluated.
        """
        u = len(question.units)
        if every_mask_fits(question, self.samples):
            half = (torch.arange(2 ** (u - 1))[:, None] >> torch.arange(u)) % 2 == 1  # the others are their complements
            exact = self._pairs(question, half).mean(dim=0)
            return exact, torch.zeros_like(exact)
        generator = torch.Generator().manual_seed(self.seed)
        return averaged(
            lambda count: self._pairs(question, torch.rand(count, u, generator=generator) < 0.5),
            question.afford(self.samples // 2, rows_each=2),
            self.tolerance,
        )

    def _pairs(self, question: Question, keep: Bool[Tensor, "n u"]) -> Float[Tensor, "n k u"]:
        """What each mask and its complement say of each unit."""
        masks, others = question.masked(torch.cat([keep, ~keep])).double()[:, :, None].chunk(2)  # (n, k, 1)
        kept = torch.where(keep[:, None], masks, others)
        return kept - torch.where(keep[:, None], others, masks) if self.difference else kept


def every_mask_fits(question: Question, samples: int) -> bool:
    """Whether all 2^u masks are among so many samples and within the limit on rows."""
    u = len(question.units)
    room = samples if question.max_rows is None else min(samples, question.max_rows - question.rows)
    return u < 31 and 2**u <= room
