"""K-means: a concept is the centre of a cluster, its code how near a row is to it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.display import progress_bar
from interp_core.errors import InputError
from jaxtyping import Float
from sklearn import cluster
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

ROWS = 8192  # encoded at a time
SHARPNESS = 4.0  # of the weights of decoding: at half of it or less the centres blur into their mean
LEAST = 1e-6  # a code below it is as good as zero when decoding
SAME = 1e-12  # of the mean square of the rows: a spread that is rounding


class KMeansSpace(ConceptSpace):
    """Centres of clusters, with similarities as codes: 1 / (1 + (distance to the centre / scale)²).

    Codes are above 0 and up to 1. A code is 1 at the centre and 1/2 at the distance `scale`, and depends on the
    distance to this centre alone. So the top inputs of a concept are the rows nearest to its centre, and the largest
    code of a row is that of its cluster. Codes never reach zero, so that their gradients never vanish away from a
    centre. A row is decoded as the mean of the centres, weighted by exp(-4 distance² / scale²) with the distances that
    the codes stand for; codes that are all zero stand for the plain mean of the centres.

    Args:
        dictionary: (c, d) the centres.
        scale: the root mean square distance of the rows that were learnt from to the nearest centre.
    """

    def __init__(self, dictionary: Float[Tensor, "c d"], scale: float) -> None:
        super().__init__(dictionary)
        self.scale = scale

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The similarity of each row to each centre, above 0 and up to 1."""
        parts = [1 / (1 + distances(part, self.dictionary) / self.scale**2) for part in values.split(ROWS)]
        return torch.cat(parts).to(values.dtype)

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """The centres, weighted by how near they are said to be."""
        return torch.softmax(-SHARPNESS / codes.clamp(min=LEAST), dim=1) @ self.dictionary

    def config(self) -> dict[str, Any]:
        """The scale."""
        return {"scale": self.scale}


@dataclass(frozen=True)
class KMeans:
    """K-means: centres of clusters with the smallest squared distances of the rows to the nearest centre.

    The code of a concept is the similarity 1 / (1 + (distance to its centre / scale)²), with `scale` the root mean
    square distance of a row from the nearest centre: 1 at the centre, 1/2 at the scale, never 0 (see `KMeansSpace`).
    The largest code of a row names its cluster. Activations that do not fit into `rows` are first clustered in a
    sample; the centres then learn from all rows, in shuffled batches.

    Args:
        concepts: number of clusters, at least 1.
        starts: number of initialisations that are tried, at least 1; the run with the smallest squared distance is
            kept. A single one often ends with two centres in one cluster and one for two.
        steps: maximum number of iterations, at least 1. A run that was stopped says so in the notes.
        tolerance: stop when the centres move, in squared distance, by less than this share of the mean variance of a
            dimension; at least 0.
        rows: maximum number of rows held at a time, at least `concepts`; where there are more, a sample of this size is
            clustered first.
        epochs: number of passes over all rows where there are more than `rows`; at least 1.
        seed: random seed of the initial centres, the sample and the order of the batches.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, 0.1], [2.1, -0.1], [0.0, 1.1], [0.1, 0.9]])
        >>> space = interp.fit_concepts(of_rows(rows), by="kmeans", concepts=2)
        >>> first, second, third, fourth = space.encode(rows).argmax(1).tolist()
        >>> first == second, second == third, third == fourth
        (True, False, True)

    Source:
        Lloyd 1982, IEEE TIT 28(2), started by k-means++ (Arthur, Vassilvitskii 2007), continued by mini-batches
        (Sculley 2010, WWW), all as in scikit-learn, in float64; no centre is reassigned at random once all are placed.
        The similarity is the kernel of Student's t distribution with one degree of freedom (van der Maaten, Hinton
        2008, JMLR 9, equation 4), with a scale.
    """

    concepts: int = 20
    starts: int = 5
    steps: int = 300
    tolerance: float = 1e-4
    rows: int = 20_000
    epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.concepts, self.starts, self.steps, self.epochs) < 1 or self.tolerance < 0:
            raise InputError(
                f"{self}: at least 1 concept, start, step and epoch and a tolerance of at least 0 are needed."
            )
        if self.rows < self.concepts:
            raise InputError(f"{self}: {self.concepts} concepts need at least as many rows at a time.")

    def fit(self, activations: Activations) -> KMeansSpace:
        """Learn the centres.

        Returns:
            The space. Notes say if the iterations were stopped, or if fewer clusters were found than asked for.

        Raises:
            InputError: every row is at a centre, so that there is no distance to scale similarities by.
        """
        generator = torch.Generator().manual_seed(self.seed)
        whole = len(activations) <= self.rows
        centres, notes = self._started(activations.matrix() if whole else activations.sample(self.rows, generator))
        if not whole:
            centres = self._continued(centres, activations, generator)
        space = KMeansSpace(centres, _scale(centres, activations))
        space.notes = notes
        return space

    def _started(self, values: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "c d"], tuple[str, ...]]:
        """Centres of rows that fit into memory, and what a reader should know of them."""
        lloyd = cluster.KMeans(
            self.concepts, n_init=self.starts, max_iter=self.steps, tol=self.tolerance, random_state=self.seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said below
            lloyd.fit(values.double().numpy())
        notes = []
        if lloyd.n_iter_ == self.steps:
            notes.append(f"k-means did not settle within {self.steps} steps; allow more.")
        distinct = len(set(lloyd.labels_.tolist()))
        if distinct < self.concepts:
            notes.append(f"k-means found {distinct} clusters of {self.concepts}, the rest repeat; ask for fewer.")
        return torch.from_numpy(lloyd.cluster_centers_), tuple(notes)

    def _continued(
        self, centres: Float[Tensor, "c d"], activations: Activations, generator: torch.Generator
    ) -> Float[Tensor, "c d"]:
        """Centres that have seen all rows."""
        online = cluster.MiniBatchKMeans(
            self.concepts, init=centres.numpy(), n_init=1, reassignment_ratio=0, random_state=self.seed
        )
        for _ in progress_bar(range(self.epochs), "k-means", unit="epoch"):
            for part in activations.batches(generator=generator):
                online.partial_fit(part.double().numpy())
        return torch.from_numpy(online.cluster_centers_)


def distances(values: Float[Tensor, "n d"], centres: Float[Tensor, "c d"]) -> Float[Tensor, "n c"]:
    """The squared distance of each row to each centre, in float64; differentiable."""
    x, c = values.double(), centres.double()
    return (x.square().sum(1, keepdim=True) - 2 * x @ c.T + c.square().sum(1)).clamp(min=0)


def _scale(centres: Float[Tensor, "c d"], activations: Activations) -> float:
    """The root mean square distance to the nearest centre, of all rows."""
    rest = squares = 0.0
    for part in activations.batches():
        rest += float(distances(part, centres).amin(1).sum())
        squares += float(part.double().square().sum())
    if rest <= SAME * squares:
        raise InputError(
            f"kmeans puts a centre on every one of the {len(activations)} rows of {activations.layer!r} with "
            f"{len(centres)} concepts, so nothing is near or far; ask for fewer, or give more varied texts."
        )
    return float((rest / len(activations)) ** 0.5)
