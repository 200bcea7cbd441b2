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
    """Sparse codes of either sign: a row is the mean plus its codes times the dictionary, and few codes are not zero.

    The codes of a row x are the exact lasso solution for it alone: the z that minimises ½ ‖x - mean - z D‖² + penalty
    Σ|z|. A row is therefore never further from its reconstruction than from the mean. Codes are in the units of the
    activations, and smaller than those of least squares, since the penalty shrinks them.

    Args:
        dictionary: (c, d) rows of length 1 at most.
        mean: (d) the mean row.
        penalty: weight of the absolute codes, above 0, in the units of the activations.
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
    """Dictionary learning: activations as the mean plus sparse sums of directions, with codes of either sign.

    It minimises the mean over rows x of ½ ‖x - mean - z D‖² + penalty Σ|z|, over directions of length 1 at most and
    codes z that solve the lasso exactly (see `LassoSpace`). There may be more concepts than dimensions. Each direction
    is oriented so that the third moment of its products with the centred rows is positive.

    Codes are signed, in the units of the activations, and smaller than those of least squares, since the penalty
    shrinks them. Rows are read in batches, `steps` times `batch_size` of them; memory holds a batch and a few matrices
    (d, d) and (c, c).

    Args:
        concepts: number of directions, at least 1.
        penalty: weight of the absolute codes, positive, as a share of the root mean square distance of a row from the
            mean: a row at that distance has only zero codes if no direction has a larger absolute cosine with it.
        steps: number of batches the dictionary is improved by, at least 1.
        batch_size: rows of a batch, at least 1; they come in a new random order once all have been seen.
        seed: random seed of the order of the rows, and of what replaces directions that are not used.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="dictionary-learning", concepts=5, steps=50)
        >>> space.dictionary.shape, bool((space.encode(activations.matrix()) == 0).any())
        (torch.Size([5, 12]), True)

    Source:
        Mairal et al. 2009, ICML, algorithms 1 and 2; agrees with scikit-learn's MiniBatchDictionaryLearning on the same
        batches. Departs from it in that the mean is subtracted; in that rows are scaled by their spread, so that the
        unit does not matter; and in that codes solve the lasso exactly (those of scikit-learn draw from NumPy's global
        random state).
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

        Returns:
            The space, whose codes solve the lasso.

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
