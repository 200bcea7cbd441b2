"""How well sums of attributions foretell the scores of random halves of the sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.metrics import Score
from interp_core.statistics import check_sampling
from jaxtyping import Bool, Float
from scipy.stats import spearmanr
from torch import Tensor

APART = 7_368_787  # keeps these draws apart from those of a method with the same seed


@dataclass(frozen=True)
class LinearDatamodellingScore:
    """Linear datamodelling score (LDS): rank correlation of summed attributions with scores of random halves.

    Each unit is kept with probability 1/2, in draws that no method has seen; Spearman's correlation compares the score
    of the model on the units kept with the sum of their attributions.

    The value is from -1 to 1, and higher is better: 1 where scores add up; 0 with a note where the attributions or the
    scores of a target are all equal. Ranks are the same in all score spaces that rise with one another, such as
    log-odds and log-probability. The cost is `samples` rows of the model.

    Args:
        samples: number of random halves, at least 4. When all 2^u subsets fit, each is evaluated once.
        seed: random seed of the halves.

    Raises:
        InputError: `samples` is below 4.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="linear-datamodelling-score", chance=False).value, 3)
        1.0

    Source:
        Park et al. 2023, arXiv:2303.14186 (TRAK), definition 2.4, for sources as in Cohen-Wang et al. 2024,
        arXiv:2409.00729, section 4.
    """

    samples: int = 64
    seed: int = 0

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "rank correlation of the scores of random halves with the sums of their attributions"
    space: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, None)

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one correlation for each target.

        Returns:
            The mean over targets, with `values` for each.
        """
        keep = self._halves(question)
        foretold = keep.double() @ attribution.scores.double().T  # (p, k)
        found = question.masked(keep).double()
        values = torch.stack([_correlation(foretold[:, k], found[:, k]) for k in range(len(question.targets))])
        constant = int(values.isnan().sum())
        notes = ("Of a target all attributions or all scores are equal, which ranks nothing: it counts as 0.",)
        values = values.nan_to_num(nan=0.0)
        return Score(float(values.mean()), True, values, notes=notes if constant else ())

    def _halves(self, question: Question) -> Bool[Tensor, "p u"]:
        able = question.applicable.any(0)
        u = int(able.sum())
        count = question.afford(self.samples)
        every = u < 31 and 2**u <= count
        if every:
            drawn = (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1
        else:
            drawn = torch.rand(count, u, generator=torch.Generator().manual_seed(APART + self.seed)) < 0.5
        keep = torch.ones(len(drawn), len(able), dtype=torch.bool)
        keep[:, able] = drawn
        return keep


def _correlation(foretold: Float[Tensor, " p"], found: Float[Tensor, " p"]) -> Tensor:
    """Spearman's rank correlation; NaN where one of the two is constant but for rounding."""
    if any(float(one.max() - one.min()) <= 1e-6 * float(one.abs().max()) for one in (foretold, found)):
        return torch.tensor(torch.nan)
    return torch.tensor(float(spearmanr(foretold.numpy(), found.numpy()).statistic))
