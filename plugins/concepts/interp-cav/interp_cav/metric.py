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
    """The share of all pairs of a class of the model and a concept in which the class is sensitive to the concept.

    A pair counts where its TCAV score differs from those of vectors that the same method learns from random labels
    (p < 0.05, two-sided, corrected for all pairs). Neither direction is better: some classes should not be sensitive to
    a concept. The notes hold the table of scores; `interp_cav.tcav.tcav` gives it with all that it was made from.

    The method that learnt the space is asked again for each vector, on a part of the labelled texts; it must need
    labels.

    Args:
        parts: into how many groups the texts of a concept are dealt, for a vector each.
        samples: how many vectors of random texts.
        seed: of both.

    Source: Kim et al. 2018, arXiv:1711.11279, section 3.4; see `interp_cav.tcav.tcav` for how this departs from it.
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
        """One number for all pairs.

        Raises:
            InputError: too few texts with or without any concept, or a model without classes.
        """
        found = tcav(split, activations, method=method, dealing=self._dealing())
        sensitive = (found.p < LEVEL).float()
        notes = (*str(found).splitlines(), "A star: differs from random vectors, p < 0.05 after Holm.", *found.notes)
        return Score(float(sensitive.mean()), self.higher_is_better, notes=notes)

    def _dealing(self) -> Dealing:
        return Dealing(self.parts, self.samples, self.seed)
