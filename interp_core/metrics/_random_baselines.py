"""Random answers, whose score is the chance level of a metric."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations, mean_of
from interp_core.attribution import Question
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

APART = 1_000_003  # keeps these draws apart from others with the same seed


class RandomDirections(ConceptSpace):
    """The random answer to metrics of concept spaces: random directions through the mean, encoded by projection.

    Up to d directions are orthonormal. More than d are independent and of length 1, and rows are decoded from their
    projections by least squares.

    Args:
        dictionary: (c, d) the directions.
        mean: (d) subtracted before encoding and added after decoding.

    Raises:
        InputError: the dictionary is not a matrix.

    Examples:
        >>> from interp_core.metrics import RandomDirections
        >>> from interp_core.testing import dictionary_world
        >>> activations, space = dictionary_world()
        >>> random, rows = RandomDirections.like(space, activations), activations.matrix()
        >>> error, chance = (float((rows - answer(rows)).square().mean()) for answer in (space, random))
        >>> error < 0.01 < chance
        True
    """

    mean: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], mean: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("mean", mean)

    @classmethod
    def like(cls, space: ConceptSpace, activations: Activations, seed: int = 0) -> RandomDirections:
        """Draw as many random directions as a space has concepts, through the mean of the activations.

        Args:
            space: a space of c concepts of width d.
            activations: rows of width d.
            seed: the seed of the draw.

        Returns:
            The space of the random directions.
        """
        noise = torch.randn(space.width, space.concepts, generator=torch.Generator().manual_seed(APART + seed))
        wide = space.concepts > space.width
        columns = torch.nn.functional.normalize(noise, dim=0) if wide else torch.linalg.qr(noise).Q
        return cls(columns.T.contiguous(), mean_of(activations))

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Project activations (n, d) on the directions, to codes (n, c)."""
        return (values - self.mean) @ self.dictionary.T

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Reconstruct activations (n, d) from codes (n, c)."""
        if self.concepts <= self.width:
            return codes @ self.dictionary + self.mean
        inverse: Tensor = torch.linalg.pinv(self.dictionary.T)
        return codes @ inverse + self.mean


@dataclass(frozen=True)
class RandomFit:
    """The random answer to metrics that fit a concept method again: `RandomDirections`, different for each seed.

    Args:
        concepts: the number of directions.
        seed: the seed of the draw.

    Examples:
        >>> from interp_core.metrics import RandomFit
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> one, other = (RandomFit(concepts=3, seed=seed).fit(activations).dictionary for seed in (0, 1))
        >>> one.shape, torch.equal(one, other)
        (torch.Size([3, 12]), False)
    """

    concepts: int = 20
    seed: int = 0

    def fit(self, activations: Activations) -> RandomDirections:
        """Draw random directions through the mean of the activations, otherwise unrelated to them."""
        space = ConceptSpace(torch.zeros(self.concepts, activations.width))
        return RandomDirections.like(space, activations, self.seed)


@dataclass(frozen=True)
class RandomScores:
    """The random answer to metrics that run an attribution method again: new random scores in each call.

    Args:
        generator: of the draws.
        size: standard deviation of the scores.
    """

    generator: torch.Generator
    size: float = 1.0

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Normal scores with mean 0."""
        return torch.randn(len(question.targets), len(question.units), generator=self.generator) * self.size
