"""Infidelity: how wrong attributions are as predictions of what removing units takes away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Infidelity:
    """Infidelity: the mean squared error of attributions as predictions of what removing units takes away.

    It is E (I·φ - (f(x) - f(x - I)))², where I marks the units removed and φ are their attributions. Each unit that is
    applicable to a target is removed with probability `share`.

    The value is at least 0, in squared units of the score: 0 for contributions to a score that is linear in the units.
    Lower is better. It is measured in the score space of the attributions, since they say nothing of any other. The
    cost is at most `samples` rows of the model for each set of applicable units.

    Args:
        samples: number of removals that are drawn, at least 1. Where there are no more than that, each counts once by
            its probability, and the result is exact. All targets with the same units and all attributions see the same
            removals.
        share: probability with which each unit is removed, above 0 and below 1.
        scaled: multiply the attributions of each target by the one number that minimises its infidelity, so that only
            their proportions matter; for attributions that are no contributions, such as gradients.
        seed: random seed of the removals.

    Raises:
        InputError: `samples` is below 1, or `share` is not above 0 and below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="infidelity", chance=False).value, 3)
        0.0

    Source:
        Yeh et al. 2019, arXiv:1901.09392, definition 2.1, with the difference to the baseline on a random subset as the
        perturbation; on whole units, so that I is 1 where a unit is removed and φ is its contribution. `scaled` is the
        least squares factor.
    """

    samples: int = 200
    share: float = 0.5
    scaled: bool = False
    seed: int = 0
    higher_is_better: ClassVar[bool] = False
    space: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        if self.samples < 1 or not 0 < self.share < 1:
            raise InputError(f"{self}: at least 1 sample and a share above 0 and below 1 are needed.")

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        scaled = ", attributions scaled to make it least" if self.scaled else ""
        return (
            "mean squared difference between the summed attributions of removed units and the fall of the score, "
            f"each unit removed with chance {self.share:g}{scaled}"
        )

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one mean squared error for each target.

        Returns:
            The mean over targets, with `values` for each.
        """
        patterns = len(question.applicable.unique(dim=0))
        draws = question.afford(self.samples, patterns)
        pairs = [self._removals(applicable, draws) for applicable in question.applicable]
        found = question.masked(~torch.cat([gone for gone, _ in pairs])).split([len(gone) for gone, _ in pairs])
        intact = question.intact().double()
        values = []
        for k, ((gone, weight), scores) in enumerate(zip(pairs, found, strict=True)):
            told = gone.double() @ attribution.scores[k].double()
            values.append(self._error(told, intact[k] - scores[:, k].double(), weight))
        stacked = torch.stack(values).float()
        return Score(float(stacked.mean()), self.higher_is_better, stacked, definition=self.definition)

    def _error(
        self, told: Float[Tensor, " p"], fall: Float[Tensor, " p"], weight: Float[Tensor, " p"]
    ) -> Float[Tensor, ""]:
        size = (weight * told.square()).sum()
        scale = (weight * told * fall).sum() / size if self.scaled and size > 0 else 1.0
        return (weight * (scale * told - fall).square()).sum()

    def _removals(self, applicable: Bool[Tensor, " u"], draws: int) -> tuple[Bool[Tensor, "p u"], Float[Tensor, " p"]]:
        """Which units are removed, and how much each removal counts; weights sum to 1."""
        able = applicable.nonzero().flatten()
        if len(able) < 31 and 2 ** len(able) <= draws:
            drawn = (torch.arange(2 ** len(able))[:, None] >> torch.arange(len(able))) % 2 == 1
            count = drawn.sum(1).double()
            weight = self.share**count * (1 - self.share) ** (len(able) - count)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            drawn = torch.rand(draws, len(able), generator=generator) < self.share
            weight = torch.full((draws,), 1 / draws, dtype=torch.float64)
        gone = torch.zeros(len(drawn), len(applicable), dtype=torch.bool)
        gone[:, able] = drawn
        return gone, weight
