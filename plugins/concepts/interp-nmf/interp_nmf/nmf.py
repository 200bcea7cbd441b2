"""NMF: non-negative activations as non-negative sums of non-negative directions."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_semi_nmf.alternating import Sums, alternated, started
from interp_semi_nmf.nnls import nnls
from interp_semi_nmf.space import AdditiveSpace
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class NMF:
    """Non-negative matrix factorisation (NMF): activations as non-negative sums of non-negative directions.

    It minimises ‖X - Z D‖² over codes Z ≥ 0 and directions D ≥ 0 of length 1. Nothing can cancel out, neither within a
    direction nor between two, so that directions become parts of the rows. NMF is more restrictive than semi-NMF, whose
    directions may have negative entries.

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
        >>> activations, _ = dictionary_world(nonnegative=True)
        >>> space = interp.fit_concepts(activations, by="nmf", concepts=5)
        >>> bool((space.dictionary >= 0).all()), bool((space.encode(activations.matrix()) >= 0).all())
        (True, True)

    Source:
        Lee, Seung 1999, Nature 401, the squared error. Departs from it in that codes and dictionary are in turn the
        exact solution given the other (Kim, Park 2011, SIAM J. Sci. Comput. 33(6)) in place of multiplicative updates,
        and in that it starts from clusters of directions. Neither ever raises the error.
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
        start = started(activations, self.concepts, self.seed, self.device, best_parts)
        return alternated(activations, start, best_parts, self.steps, self.tolerance)


def best_parts(sums: Sums, dictionary: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
    """Non-negative least squares for the codes; a concept that no row needs keeps its direction."""
    size = sums.moment.diagonal().sqrt()
    used = size > 0
    size = size[used][:, None]
    parts = nnls(sums.moment[used][:, used] / (size * size.T), (sums.cross[used] / size).T).T / size
    best = dictionary.clone()
    best[used] = parts.where(parts.any(dim=1, keepdim=True), best[used])
    return best
