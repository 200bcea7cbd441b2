"""Online dictionary learning: activations as sparse sums of directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from interp_core.activations import Activations, moments, orient_by_skewness
from interp_core.concepts import ConceptSpace
from interp_core.display import progress_bar
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_dictionary_learning.lasso import lasso
from interp_dictionary_learning.online import learnt

ROWS = 8192  # encoded at a time


class LassoSpace(ConceptSpace):
    """A row is the mean plus its codes times the dictionary, with few codes that are not zero, of either sign.

    The codes of a row x are the exact solution of the lasso for it alone: the z that minimises
    ½ ‖x - mean - z D‖² + penalty Σ|z|, so a row is never further from its reconstruction than from the mean. They are
    in the units of the activations, and smaller than least squares would have them: the penalty shrinks them.

    Args:
        dictionary: (c, d), rows of length 1 at most.
        mean: (d).
        penalty: above 0, in the units of the activations.
    """

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"], penalty: float) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean.detach().float())
        self.penalty = penalty

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Sparse codes; differentiable where no code is about to become zero, or not to be."""
        dictionary = self.dictionary.double()
        gram = dictionary @ dictionary.T
        parts = ((part.double() - self.mean) @ dictionary.T for part in values.split(ROWS))
        return torch.cat([lasso(gram, part, self.penalty) for part in parts]).to(values.dtype)

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Activations made of these codes."""
        return codes @ self.dictionary + self.mean

    def config(self) -> dict[str, Any]:
        """The penalty."""
        return {"penalty": self.penalty}


@dataclass(frozen=True)
class DictionaryLearning:
    """Learns a dictionary in which the rows, less their mean, have sparse codes; see `LassoSpace`.

    There may be more concepts than dimensions. Each direction is turned so that the sum of the cubes of its products
    with the rows less their mean is positive. Rows are read in batches, and as many as the steps ask for; memory is for
    a batch, and a few matrices (d, d) and (c, c).

    Args:
        concepts: how many directions.
        penalty: of the sizes of the codes, as a share of the root mean square distance of a row from the mean: a row of
            that length has no code but zero where no direction points its way by more than this cosine.
        steps: how many batches the dictionary is improved by.
        batch_size: rows of each, in a new random order whenever all have been seen.
        seed: of the order of the rows, and of what takes the place of directions that are not used.

    Source: Mairal et al. 2009, ICML, algorithms 1 and 2; agrees with scikit-learn's MiniBatchDictionaryLearning on the
    same batches. Departs from it in that the mean is taken off, in that rows are taken in units of their spread so that
    the unit does not matter, and in that codes solve the lasso exactly (scikit-learn's draw from NumPy's global random
    state).
    """

    concepts: int = 20
    penalty: float = 0.1
    steps: int = 200
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.concepts, self.steps, self.batch_size) < 1 or self.penalty <= 0:
            raise InputError(f"{self}: at least 1 concept, step and row of a batch and a positive penalty are needed.")

    def fit(self, activations: Activations) -> LassoSpace:
        """Learn the dictionary.

        Raises:
            InputError: all rows are equal.
        """
        mean, covariance = moments(activations)
        spread = float(covariance.trace()) ** 0.5
        if not spread > 0:
            raise InputError(
                f"all {len(activations)} rows of {activations.layer!r} are equal, so there is nothing to learn from; "
                "give more varied texts."
            )
        generator = torch.Generator().manual_seed(self.seed)
        several = islice(self._shuffled(activations, generator), self.steps)
        batches = progress_bar(several, "dictionary learning", total=self.steps)
        rows = ((part.double() - mean) / spread for part in batches)
        found = learnt(rows, self.concepts, self.penalty, generator)
        return LassoSpace(orient_by_skewness(activations, found, mean) * found, mean, self.penalty * spread)

    def _shuffled(self, activations: Activations, generator: torch.Generator) -> Iterator[Float[Tensor, "b d"]]:
        """Batches without end."""
        while True:
            yield from activations.batches(self.batch_size, generator=generator)
