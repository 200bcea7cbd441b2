"""Insertion and deletion curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.metrics import Score
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Insertion:
    """Insertion: the area under the score as units are put back into the empty text, highest attribution first.

    The curve has a point for each number of units, from none to all that are applicable to the target, joined by
    straight lines. The area is over the share of units, so that a constant score is its own area.

    The value is in the unit of the score, the probability by default, hence from 0 to 1. Higher is better. The cost is
    one row of the model for each unit and target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="insertion", chance=False).value, 3)
        0.862

    Source:
        Petsiuk et al. 2018, arXiv:1806.07421, section 3.2, on units of text. Units that are not applicable stay.
    """

    higher_is_better: ClassVar[bool] = True
    definition: ClassVar[str] = "area under the score over the share of units put back, highest attribution first"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one area for each target.

        Returns:
            The mean over targets, with `values` and the curve for each.
        """
        return _score(attribution, question, insert=True)


@dataclass(frozen=True)
class Deletion:
    """Deletion: the area under the score as units are removed from the text, highest attribution first.

    The curve and its area are those of `Insertion`, in the other direction. The value is in the unit of the score, the
    probability by default, hence from 0 to 1. Lower is better. The cost is one row of the model for each unit and
    target.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="deletion", chance=False).value, 3)
        0.379

    Source:
        Petsiuk et al. 2018, arXiv:1806.07421, section 3.2, on units of text. Units that are not applicable stay.
    """

    higher_is_better: ClassVar[bool] = False
    definition: ClassVar[str] = "area under the score over the share of units taken out, highest attribution first"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one area for each target.

        Returns:
            The mean over targets, with `values` and the curve for each.
        """
        return _score(attribution, question, insert=False)


def _score(attribution: Attribution, question: Question, insert: bool) -> Score:
    keeps = [variants(s, a, insert) for s, a in zip(attribution.scores, question.applicable, strict=True)]
    scores = question.masked(torch.cat(keeps)).split([len(k) for k in keeps])
    curves = tuple(s[:, k] for k, s in enumerate(scores))
    areas = torch.stack([area(curve) for curve in curves])
    return Score(float(areas.mean()), insert, areas, curves=curves)


def variants(scores: Float[Tensor, " u"], applicable: Bool[Tensor, " u"], insert: bool) -> Bool[Tensor, "p u"]:
    """The texts on the way: row i has the i units of highest score put in, or taken out; others are never removed."""
    order: Int[Tensor, " a"] = applicable.nonzero().flatten()
    order = order[scores[order].argsort(descending=True, stable=True)]
    keep = torch.ones(len(order) + 1, len(scores), dtype=torch.bool)
    rank = torch.arange(len(order))
    done = rank[None, :] < torch.arange(len(order) + 1)[:, None]
    keep[:, order] = done if insert else ~done
    return keep


def area(scores: Float[Tensor, " p"]) -> Float[Tensor, ""]:
    """Trapezoid area over [0, 1]; of one point its height."""
    return scores[0] if len(scores) == 1 else torch.trapezoid(scores, dx=1 / (len(scores) - 1))
