"""How distinct the directions of a dictionary are from one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

CONCEPTS = 1024  # compared with all others at a time


@dataclass(frozen=True)
class Uniqueness:
    """Uniqueness: 1 less the largest |cosine| of a direction with another, averaged over directions.

    The value is 1 when all directions are orthogonal, 0 when each has a double. Neither is better by itself: random
    directions are distinct without meaning anything, and meaningful concepts may be related. More directions than
    dimensions cannot all be orthogonal. Only the dictionary is read; the activations do not matter.

    Args:
        absolute: count the opposite of a direction as its double; False takes cosines with their signs.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_core.concepts import AffineSpace
        >>> directions = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # two doubles
        >>> score = interp.measure(AffineSpace(directions, directions), of_rows(torch.eye(3)), by="uniqueness")
        >>> round(score.value, 3)
        0.333

    Source:
        By definition. SynthSAEBench calls something else uniqueness: see `planted-uniqueness`.
    """

    higher_is_better: ClassVar[bool | None] = None
    reconstructs: ClassVar[bool] = False
    definition: ClassVar[str] = "1 - mean over directions of the largest |cosine| with another direction"

    absolute: bool = True

    def measure(self, space: ConceptSpace, activations: Activations) -> Score:
        """Measure the mean over directions.

        Returns:
            One number for all directions.

        Raises:
            InputError: there is only one concept.
        """
        if space.concepts < 2:
            raise InputError("the space has one concept; there is no other to be distinct from.")
        values = 1 - nearest(space.dictionary, self.absolute)
        return Score(float(values.double().mean()), self.higher_is_better)


def nearest(dictionary: Float[Tensor, "c d"], absolute: bool) -> Float[Tensor, " c"]:
    """The largest cosine of each direction with another, in float64; a direction without length has 0 with all."""
    directions = normalize(dictionary.double(), dim=1)
    found = []
    for start in range(0, len(directions), CONCEPTS):
        cosine = directions[start : start + CONCEPTS] @ directions.T
        cosine = cosine.abs() if absolute else cosine
        found.append(cosine.diagonal_scatter(torch.full((len(cosine),), -torch.inf).to(cosine), start).amax(dim=1))
    return torch.cat(found)
