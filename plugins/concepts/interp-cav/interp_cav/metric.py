"""TCAV as one number for a space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.metrics import Score
from interp_core.model import SplitModel

from interp_cav.dealing import Dealing
from interp_cav.tcav import LEVEL, tcav


@dataclass(frozen=True)
class SensitiveShare:
    """TCAV as a metric: the share of pairs of a class of the model and a concept in which the class is sensitive to it.

    The TCAV score of a pair is the share of the inputs of the class whose logit rises along the concept. A pair counts
    as sensitive where its score differs from those of vectors that the same method learns from random labels (two-sided
    t-test, p < 0.05 after Holm's correction for all pairs).

    The value is a share from 0 to 1. Neither end is better: some classes should not be sensitive to a concept. The
    notes hold the table of TCAV scores; `interp_cav.tcav.tcav` returns it with all it was made from. The cost is one
    fit of the method that learnt the space for each vector, on part of the labelled texts, and the gradients of all
    classes at each input. The method must need labels.

    Args:
        parts: number of groups that the texts of a concept are divided into, with a vector for each; at least 2.
        samples: number of vectors learnt from random texts; at least 2.
        seed: random seed of both.

    Raises:
        InputError: `parts` or `samples` is below 2.

    Examples:
        >>> from interp_cav.metric import SensitiveShare
        >>> SensitiveShare(parts=10).definition
        'share of pairs of class and concept whose TCAV score differs from random ones (p < 0.05 after Holm)'

    Source:
        Kim et al. 2018, arXiv:1711.11279, section 3.4; `interp_cav.tcav.tcav` says how this departs from it.
    """

    higher_is_better: ClassVar[bool | None] = None
    definition: ClassVar[str] = (
        "share of pairs of class and concept whose TCAV score differs from random ones (p < 0.05 after Holm)"
    )

    parts: int = 20
    samples: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        self._dealing()

    def measure(self, space: ConceptSpace, activations: Activations, method: Any, split: SplitModel) -> Score:
        """Measure the share of sensitive pairs.

        Returns:
            One number for all pairs, with the table of TCAV scores in its notes.

        Raises:
            InputError: too few texts with or without any concept, or a model without classes.
        """
        found = tcav(split, activations, method=method, dealing=self._dealing())
        sensitive = (found.p < LEVEL).float()
        notes = (*str(found).splitlines(), "A star: differs from random vectors, p < 0.05 after Holm.", *found.notes)
        return Score(float(sensitive.mean()), self.higher_is_better, notes=notes)

    def _dealing(self) -> Dealing:
        return Dealing(self.parts, self.samples, self.seed)
