"""Decision flips: the class, or the token, that the model answers without the best units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.metrics import Score
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class DecisionFlip:
    """Decision flip: the share of inputs whose decision changes when the unit of highest attribution is removed.

    The decision is the class of highest score, whether a class is on for a multi-label classifier, or the token of
    highest score where a token is explained; a regression has none. It is meant for targets that the model decided for.
    Of equal attributions the first in the text is removed, and never a unit that is not applicable.

    The value is a share from 0 to 1, and higher is better. The cost is one row of the model for each target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="decision-flip", chance=False).value, 3)
        0.5

    Source:
        Chrysostomou, Aletras 2021, arXiv:2105.02657 (decision flip, most informative token), on units of any
        granularity; absent units are those of the question.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "share of inputs whose decision changes without the unit of highest attribution"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure whether the decision changes, for each target.

        Returns:
            The mean over targets, with 1 or 0 for each in `values`.
        """
        flips = torch.stack([f.any() for f in _flips(attribution, question, most=1)]).float()
        return Score(float(flips.mean()), self.higher_is_better, flips, definition=self.definition)


@dataclass(frozen=True)
class FlipFraction:
    """Flip fraction: the smallest share of the units whose removal, highest attribution first, changes the decision.

    It is a share of the units that are applicable to the target, above 0, and 1 if the decision never changes; lower is
    better. The decision may change back as more units are removed; the first change counts. `DecisionFlip` says what
    the decision is. The cost is one row of the model for each unit and target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="flip-fraction", chance=False).value, 3)
        0.667

    Source:
        Serrano, Smith 2019, arXiv:1906.03731, where attention weights are set to zero until the decision flips; here on
        units of text, as the fraction of tokens of Chrysostomou, Aletras 2021, arXiv:2105.02657.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "smallest share of the units, highest attribution first, whose removal changes the decision; 1 if none does"
    )

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one share for each target.

        Returns:
            The mean over targets, with `values` for each.
        """
        shares = torch.ones(len(question.targets))
        for k, flips in enumerate(_flips(attribution, question)):
            if flips.any():
                shares[k] = (int(flips.int().argmax()) + 1) / len(flips)
        return Score(float(shares.mean()), self.higher_is_better, shares, definition=self.definition)


def _flips(attribution: Attribution, question: Question, most: int | None = None) -> list[Bool[Tensor, " p"]]:
    """For each target, whether the decision differs without the best 1, 2, … units, up to `most`."""
    pairs = zip(attribution.scores, question.applicable, strict=True)
    keeps = [without_best(scores, applicable)[:most] for scores, applicable in pairs]
    intact = torch.ones(1, len(question.units), dtype=torch.bool)
    decided, *found = question.decides(torch.cat([intact, *keeps])).split([1, *(len(keep) for keep in keeps)])
    return [decisions[:, k] != decided[0, k] for k, decisions in enumerate(found)]


def without_best(scores: Float[Tensor, " u"], applicable: Bool[Tensor, " u"]) -> Bool[Tensor, "p u"]:
    """Row i lacks the i + 1 units of highest score among those that can matter."""
    order = applicable.nonzero().flatten()
    order = order[scores[order].argsort(descending=True, stable=True)]
    keep = torch.ones(len(order), len(scores), dtype=torch.bool)
    keep[:, order] = torch.arange(len(order)) > torch.arange(len(order))[:, None]
    return keep
