"""Semi-NMF: activations as non-negative sums of directions of any sign."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_semi_nmf.alternating import Sums, alternated, started
from interp_semi_nmf.space import AdditiveSpace


@dataclass(frozen=True)
class SemiNMF:
    """Semi-NMF: activations as non-negative sums of directions of any sign.

    It minimises ‖X - Z D‖² over codes Z ≥ 0 and directions D of length 1. Semi-NMF has many solutions: a dictionary
    that spans a wider cone fits as well, with denser codes. Starting from cluster centres, which lie inside the cone of
    the data, and stopping when little is gained, gives a narrow one. Concepts that generated the rows are recovered
    only if most rows hold few of them.

    Codes are at least 0, in the units of the activations: the exact non-negative least squares solution for each row by
    itself. Rows are read in batches, in memory or from disk, once for each step; memory does not grow with their
    number.

    Args:
        concepts: number of directions, at least 1.
        steps: maximum number of updates of codes and dictionary, at least 1.
        tolerance: stop when a step lowers the squared error by less than this share of the sum of all squares; at least
            0.
        seed: random seed of the cluster centres to start from.
        device: device to compute on; the space is always on the CPU.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="semi-nmf", concepts=5)
        >>> bool((space.encode(activations.matrix()) >= 0).all()), space.history["loss"][-1] < 0.01
        (True, True)

    Source:
        Ding, Li, Jordan 2010, IEEE TPAMI 32(1), section 3. The dictionary is the least squares solution as there.
        Departs from it in that codes are the exact solution given the dictionary in place of the slower multiplicative
        update (neither ever raises the error), and in that it starts from clusters of directions, not from indicators
        of clusters of points plus 0.2.
    """

    concepts: int = 20
    steps: int = 300
    tolerance: float = 1e-4
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.concepts < 1 or self.steps < 1 or self.tolerance < 0:
            raise InputError(f"{self}: at least 1 concept, 1 step and a tolerance of at least 0 are needed.")

    def fit(self, activations: Activations) -> AdditiveSpace:
        """Learn the dictionary.

        Returns:
            The space. Its history holds `loss`, the squared error as a share of the sum of squares, which never rises.

        Raises:
            InputError: all activations are zero.
        """
        start = started(activations, self.concepts, self.seed, self.device, best_dictionary)
        return alternated(activations, start, best_dictionary, self.steps, self.tolerance)


def best_dictionary(sums: Sums, dictionary: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
    """Least squares for the codes; a concept that no row holds keeps its direction."""
    size = sums.moment.diagonal().sqrt()
    used = size > 0
    size = size[used][:, None]
    alike = sums.moment[used][:, used] / (size * size.T)
    alike.diagonal().add_(1e-12)  # two concepts that are always active together have many solutions
    best = dictionary.clone()
    best[used] = torch.linalg.solve(alike, sums.cross[used] / size) / size
    return best
