"""Parameter randomisation: whether attributions depend on what the model has learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from interp_core.attribution import Attribution, Question, run_method
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import ModelAccess, Score
from jaxtyping import Float
from torch import Tensor

from interp_parameter_randomisation.redrawing import drawn_anew

LIMIT = 0.5


@dataclass(frozen=True)
class ParameterRandomisation:
    """Parameter randomisation test: how similar the attributions stay when the weights of the model are drawn anew.

    It is Spearman's correlation, over the units that are applicable, between the attributions and those of the same
    method on a copy of the model with random weights. Equal scores share a rank; where all are equal on both models the
    correlation is 1, where on one of them 0. The given model is not changed.

    The value is from -1 to 1: 1 where attributions ignore what was learnt, as any order by position or length does,
    about 0 where nothing is kept. With all layers drawn anew a method passes when the whole interval over texts lies
    below 0.5. Neither direction from 0 is better, so nothing is ranked by it; and passing is no praise, since random
    attributions pass as well. The cost is that of the attributions once more, and a second copy of the model in memory.

    Args:
        share: share of the layers, from the top, that are drawn anew, above 0 and up to 1; a layer is a module with
            weights of its own. Shares that grow to 1 make the cascade of the paper: the same seed draws the same
            weights for the top layers.
        absolute: compare absolute values. With signs, a new head alone reverses all of them in half of the draws, so
            that the mean over draws is 0 whatever the method keeps.
        seed: random seed of the weights. The interval is over texts, all on one model with new weights.

    Raises:
        InputError: `share` is not above 0 and up to 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> interp.measure(found, model, by="parameter-randomisation", chance=False).value < 0.5
        True

    Source:
        Adebayo et al. 2018, arXiv:1810.03292, the test with randomised parameters, cascading. Departs from it in that
        weights are normal numbers with the mean and standard deviation of those they replace; the paper takes those of
        an initialiser, which a trained model does not carry with it. Tied weights become two sets in the copy, each
        drawn in its turn.
    """

    share: float = 1.0
    absolute: bool = True
    seed: int = 0
    higher_is_better: ClassVar[bool | None] = None
    space: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share}; a share of the layers above 0 and up to 1 is needed.")

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        which = "all layers" if self.share == 1 else f"the top {self.share:.0%} of the layers"
        passing = f"; passed where the whole interval is below {LIMIT:g}" if self.share == 1 else ""
        return (
            f"Spearman correlation of {'the sizes of ' * self.absolute}the attributions with those after {which} were "
            f"drawn anew, 1 for a method that ignores the model{passing}"
        )

    def measure(self, attribution: Attribution, question: Question, method: Any, again: ModelAccess) -> Score:
        """Measure one correlation for each target to which at least two units are applicable.

        Returns:
            The mean over these targets, with `values` for each.

        Raises:
            UnsupportedError: there is no such target, or there are weights that cannot be drawn.
        """
        pairs = question.applicable.sum(1) > 1
        if not pairs.any():
            raise UnsupportedError(f"ranks need two units, and {question.text[:40]!r} has one; leave such texts out.")
        model = again.once("drawn anew", lambda: drawn_anew(again.model, self.share, self.seed))
        found, _ = run_method(method, again.of(model))
        both = zip(attribution.scores, found, question.applicable, pairs, strict=True)
        values = torch.stack([self._alike(one[able], two[able]) for one, two, able, enough in both if enough])
        return Score(float(values.mean()), self.higher_is_better, values, definition=self.definition)

    def _alike(self, one: Float[Tensor, " u"], two: Float[Tensor, " u"]) -> Float[Tensor, ""]:
        return rank_correlation(one.abs(), two.abs()) if self.absolute else rank_correlation(one, two)


def rank_correlation(one: Float[Tensor, " u"], two: Float[Tensor, " u"]) -> Float[Tensor, ""]:
    """Spearman's, with shared ranks; where there are none on either side 1, on one side 0."""
    a, b = ranks(one), ranks(two)
    flat = [not bool(r.any()) for r in (a, b)]
    if any(flat):
        return torch.tensor(float(all(flat)))
    found: Tensor = (a @ b / (a.norm() * b.norm())).float()
    return found


def ranks(values: Float[Tensor, " u"]) -> Float[Tensor, " u"]:
    """Ranks about their mean; equal values share the mean of theirs."""
    above = (values[:, None] > values).double()
    middle: Tensor = (above - above.T).sum(1) / 2
    return middle
