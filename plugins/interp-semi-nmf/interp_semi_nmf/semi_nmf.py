"""Semi-NMF: activations as non-negative sums of directions of any sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

from interp_semi_nmf.nnls import nnls
from interp_semi_nmf.seeding import centres

SWEEPS = 5  # of coordinate descent through the codes, for each solution for the dictionary
ROWS = 8192  # encoded at a time
STARTS, SAMPLE = 10, 4096  # clusterings to choose a start from, and how many rows they see


class SemiNMFSpace(ConceptSpace):
    """Concepts that are only ever added: a row is its codes (>= 0) times the dictionary (rows of length 1, any sign).

    The codes of a row are the exact solution of non-negative least squares for it alone. They are in the units of the
    activations: a code of 2 adds a step of length 2 along its direction, so codes of all concepts can be compared.
    """

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes, non-negative; differentiable where no code is about to become zero."""
        dictionary = self.dictionary.double()
        gram = dictionary @ dictionary.T
        return torch.cat([nnls(gram, part.double() @ dictionary.T).float() for part in values.split(ROWS)])


@dataclass(frozen=True)
class SemiNMF:
    """Learns a dictionary whose non-negative sums come close to the activations, in squared distance.

    Semi-NMF has many solutions: a dictionary that spans a wider cone fits as well, with denser codes. Starting from the
    centres of clusters, which lie inside the cone of the data, and stopping when little is gained, gives a narrow one.
    Concepts that were there are found again only if most rows hold few of them.

    Args:
        concepts: how many directions.
        steps: how many times codes and dictionary are improved, at most.
        tolerance: stops when a step lowers the squared error by less than this share of the sum of all squares.
        seed: of the cluster centres to start from.
        device: where to compute; the space is always on the CPU.

    Source: Ding, Li, Jordan 2010, IEEE TPAMI 32(1), section 3. The dictionary is the least squares solution as there.
    Departs from it in that codes take exact coordinate descent in place of the slower multiplicative update (neither
    ever raises the error), and in that it starts from clusters of directions, not from indicators of clusters of
    points plus 0.2.
    """

    concepts: int = 20
    steps: int = 300
    tolerance: float = 1e-4
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.concepts < 1 or self.steps < 1 or self.tolerance < 0:
            raise InputError(f"{self}: at least 1 concept, 1 step and a tolerance of at least 0 are needed.")

    def fit(self, activations: Activations) -> SemiNMFSpace:
        """Learn the dictionary.

        Raises:
            InputError: all activations are zero.
        """
        x = activations.values.to(self.device, torch.float64)
        if not x.any():
            raise InputError(f"all {len(x)} rows of {activations.layer!r} are zero; there is nothing to learn from.")
        enough = self.tolerance * float((x**2).sum())
        found = started(x, self._start(x))
        settled = False
        for _ in range(self.steps):
            before, found = found.error, improved(x, found)
            settled = before - found.error <= enough
            if settled:
                break
        space = SemiNMFSpace(found.dictionary.float().cpu())
        space.notes = self._notes(settled, unused=int((found.codes.sum(1) == 0).sum()))
        return space

    def _start(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "c d"]:
        """The best of a few clusterings of a part of the rows: a single one may put two centres on one direction."""
        generator = torch.Generator().manual_seed(self.seed)
        part = x[torch.randperm(len(x), generator=generator)[: max(SAMPLE, self.concepts)].to(x.device)]
        starts = [centres(part, self.concepts, generator) for _ in range(STARTS)]
        return min(starts, key=lambda start: improved(part, started(part, start)).error)

    def _notes(self, settled: bool, unused: int) -> tuple[str, ...]:
        notes = [] if settled else [f"semi-nmf did not settle within {self.steps} steps; allow more."]
        if unused:
            notes.append(f"{unused} of {self.concepts} concepts are active in no row; ask for fewer.")
        return tuple(notes)


class Factors(NamedTuple):
    """A dictionary (rows of length 1), non-negative codes, and the squared error of their product."""

    dictionary: Float[Tensor, "c d"]
    codes: Float[Tensor, "c n"]
    error: float


def started(x: Float[Tensor, "n d"], dictionary: Float[Tensor, "c d"]) -> Factors:
    """A dictionary without codes as yet."""
    return Factors(dictionary, x.new_zeros(len(dictionary), len(x)), float("inf"))


def improved(x: Float[Tensor, "n d"], factors: Factors) -> Factors:
    """Better codes for the dictionary, then the best dictionary for the codes: the error never rises."""
    codes = better_codes(x, factors)
    moment, cross = codes @ codes.T, codes @ x
    dictionary = best_dictionary(moment, cross, factors.dictionary)
    error = (x**2).sum() - 2 * (cross * dictionary).sum() + (moment * (dictionary @ dictionary.T)).sum()
    length = dictionary.norm(dim=1, keepdim=True)
    return Factors(dictionary / length, codes * length, float(error))


def better_codes(x: Float[Tensor, "n d"], factors: Factors) -> Float[Tensor, "c n"]:
    """Each concept's codes in turn at their best for what the others are, several times over."""
    dictionary, codes = factors.dictionary, factors.codes.clone()
    gram, target = dictionary @ dictionary.T, dictionary @ x.T
    for _ in range(SWEEPS):
        for j in range(len(codes)):
            codes[j] = (codes[j] + target[j] - gram[j] @ codes).clamp(min=0)
    return codes


def best_dictionary(
    moment: Float[Tensor, "c c"], cross: Float[Tensor, "c d"], dictionary: Float[Tensor, "c d"]
) -> Float[Tensor, "c d"]:
    """Least squares for codes with this Z'Z and Z'X; a concept that no row holds keeps its direction."""
    size = moment.diagonal().sqrt()
    used = size > 0
    size = size[used][:, None]
    alike = moment[used][:, used] / (size * size.T)
    alike.diagonal().add_(1e-12)  # two concepts that are always active together have many solutions
    best = dictionary.clone()
    best[used] = torch.linalg.solve(alike, cross[used] / size) / size
    return best
