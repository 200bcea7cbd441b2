"""Monotonicity: units come back in rising order of attribution, and what they add should rise with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.attribution import Attribution, Question
from interp_core.errors import InputError, unknown
from interp_core.metrics import Score
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_monotonicity.ranks import pearson, ranks, rounding

CONSTANT = "All attributions, or all that units add, are equal for some target, so there is no order to compare: 0."
FORMS = {
    "rank": "Spearman correlation of the attributions of units with what they add",
    "share": "share of the units that do not lower the score",
    "all": "1 where no unit lowers the score, else 0,",
}


@dataclass(frozen=True)
class Monotonicity:
    """Monotonicity: whether units put back into the empty text, lowest attribution first, add more the later they come.

    By default it is Spearman's correlation between the attribution of a unit and what the unit adds to the score (the
    probability by default) of the units before it: from -1 to 1, and 1 where a score is linear and the attributions are
    its contributions, whatever their signs. It is 0 with a note where attributions or steps are all equal.

    Higher is better. The other forms are 1 for every order of a linear score with positive contributions, so they say
    little about attributions; they are there for comparison with published numbers. The cost is one row of the model
    for each unit and target.

    Args:
        form: `"rank"`, that correlation; `"share"`, the share of the units that do not lower the score as they are put
            back; `"all"`, 1 if none lowers it and 0 otherwise, as in the sources.

    Raises:
        InputError: `form` is unknown.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> round(interp.measure(found, model, by="monotonicity", chance=False).value, 3)
        1.0

    Source:
        Luss et al. 2019, arXiv:1905.12698, and Arya et al. 2019, arXiv:1909.03012, for `"all"`; the correlation is of
        the same steps. Departs from them in that the first unit counts as well, and in that units that are not
        applicable stay.
    """

    form: str = "rank"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(unknown("form", self.form, FORMS))

    @property
    def definition(self) -> str:
        """The number in words."""
        return f"{FORMS[self.form]} as they come back, lowest signed attribution first"

    def measure(self, attribution: Attribution, question: Question) -> Score:
        """Measure one number for each target.

        Returns:
            The mean over targets, with `values` for each.
        """
        pairs = zip(attribution.scores, question.applicable, strict=True)
        orders = [rising(scores, applicable) for scores, applicable in pairs]
        keeps = [on_the_way(order, len(question.units)) for order in orders]
        found = question.masked(torch.cat(keeps)).split([len(keep) for keep in keeps])
        rows = zip(attribution.scores, orders, found, strict=True)
        values = torch.stack([self._of_target(s[order], f[:, k]) for k, (s, order, f) in enumerate(rows)])
        notes = (CONSTANT,) if bool(values.isnan().any()) else ()
        values = values.nan_to_num(0.0)
        return Score(float(values.mean()), self.higher_is_better, values, definition=self.definition, notes=notes)

    def _of_target(self, attributions: Float[Tensor, " a"], scores: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        added, least = scores.diff(), rounding(scores)
        if self.form == "rank":
            return pearson(ranks(attributions, rounding(attributions)), ranks(added, least)).float()
        rises = torch.cat([added >= -least, torch.ones(int(not len(added)), dtype=torch.bool)]).float()
        return rises.mean() if self.form == "share" else rises.min()


def rising(scores: Float[Tensor, " u"], applicable: Bool[Tensor, " u"]) -> Int[Tensor, " a"]:
    """The units that can matter, lowest score first; equal ones in the order of the text."""
    order = applicable.nonzero().flatten()
    return order[scores[order].argsort(stable=True)]


def on_the_way(order: Int[Tensor, " a"], units: int) -> Bool[Tensor, "p u"]:
    """Row i has the first i units of the order, and those that are not in it."""
    keep = torch.ones(len(order) + 1, units, dtype=torch.bool)
    keep[:, order] = torch.arange(len(order)) < torch.arange(len(order) + 1)[:, None]
    return keep
