"""The archetypal sparse autoencoder: each concept is a mixture of rows of the data, plus a small deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import KSparseAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import Network
from interp_sae.selection import topk
from interp_sae.space import SAESpace
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

INITIAL_LOGIT = 6.0  # of the point that a concept starts from; those of the others are 0


class ArchetypalNetwork(Network):
    """A top-k autoencoder whose dictionary is mixtures of points, plus a deviation of bounded length.

    Args:
        points: (m, d), scaled rows of the data divided by sqrt(d), so that they have length 1 on average.
        concepts: number of mixtures c; concept i starts from point i.
        generator: of random draws.
        k: codes of a row that are kept.
        relaxation: greatest length of a deviation.

    Attributes:
        logits: (c, m) parameter; their softmax is the weight of each point.
        slack: (c, d) parameter, the deviations.
    """

    KEEPS_OR_DROPS: ClassVar[bool] = True

    points: Tensor

    def __init__(
        self,
        points: Float[Tensor, "m d"],
        concepts: int,
        generator: torch.Generator,
        k: int,
        relaxation: float,
    ) -> None:
        super().__init__(concepts, points.shape[1], generator)
        self.k, self.relaxation = k, relaxation
        del self.dictionary, self.mean
        self.register_buffer("mean", torch.zeros(points.shape[1]))  # the centre of the scaling stays where it is
        self.register_buffer("points", points)
        start = torch.arange(concepts) % len(points)
        logits = torch.zeros(concepts, len(points))
        self.logits = nn.Parameter(logits.index_put_((torch.arange(concepts), start), torch.tensor(INITIAL_LOGIT)))
        self.slack = nn.Parameter(torch.zeros(concepts, points.shape[1]))
        self.encoder = nn.Parameter(normalize(self.atoms().detach(), dim=1))

    def atoms(self) -> Float[Tensor, "c d"]:
        """Mixtures of the points, plus the deviations."""
        return self.logits.softmax(1) @ self.points + self.slack

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return topk(pre_activations.relu(), self.k)

    def project(self) -> None:
        """Leaves gradients as they are: archetypes may have any length."""

    @torch.no_grad()
    def constrain(self) -> None:
        """Shortens deviations that are too long."""
        length = self.slack.norm(dim=1, keepdim=True).clamp(min=1e-12)
        self.slack.mul_((self.relaxation / length).clamp(max=1.0))

    def space(self, scaling: InputScaling) -> ConceptSpace:
        """A space in which a code of 1 adds a whole archetype."""
        unit = self.points.shape[1] ** 0.5
        dictionary = self.atoms() * unit / scaling.scale
        encoder, bias = self.encoder * scaling.scale / unit, self.bias / unit
        return SAESpace(dictionary, encoder, bias, scaling.centre, k=self.k)


@dataclass(frozen=True)
class ArchetypalSAE(KSparseAutoencoder):
    """Archetypal sparse autoencoder (RA-SAE): top-k codes, and directions that are mixtures of rows of the data.

    Each direction is a convex combination of up to `points` rows plus a deviation of length `relaxation` at most. It
    cannot leave the convex hull of these rows by more than that, so it resembles data and comes out nearly the same
    with another seed. Directions start at the geometric median of the rows.

    Codes are at least 0, and at most k of a row are positive. A code of 1 adds a whole archetype, so codes of different
    concepts are in different units. Training reads the rows in batches and holds a sample of them.

    Args:
        concepts: number of concepts, at least 1.
        steps: number of training batches, at least 1; the rows are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: learning rate of Adam, above 0, for rows scaled so that a typical coordinate is 1; None for 0.3 /
            sqrt(width).
        warmup: share of the steps, 0 to 1, over which the learning rate rises linearly from 0.
        decay: share of the steps, 0 to 1, over which the learning rate falls linearly to 0 at the end; `warmup` and
            `decay` together are at most 1.
        aux_coefficient: weight of the auxiliary loss by which dead concepts learn what the others leave over; at least
            0, which leaves them dead.
        patience: number of steps without an active row after which a concept counts as dead, at least 1.
        seed: random seed of the initial directions and of the order of the rows.
        device: device to train on, such as `"cuda"`; the space is always on the CPU.
        dtype: number format of matrix products during training, `"float32"` or `"bfloat16"`; weights and the space are
            float32.
        checkpoint: folder that keeps the state of the training. If it holds one, training resumes from there and gives
            the same bits as if it had never stopped. None keeps no state.
        save_every: number of steps between checkpoints, at least 1.
        k: maximum number of active concepts in a row, 1 to `concepts`; None for the square root of `concepts`, rounded.
        points: number of rows that are mixed, at least 1, drawn with a probability that grows with their distance from
            the median; raised to `concepts` if that is more, and limited by the number of rows.
        relaxation: largest distance of a direction from its mixture, in units of the mean length of a row; at least 0.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="archetypal-sae", concepts=5, k=1, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Fel et al. 2025, arXiv:2502.12892, equation 5 (A-SAE, and RA-SAE with a relaxation). Departs from it in that
        points are drawn rows, not centres of clusters, and in that weights are a softmax, not clipped and rescaled.
    """

    TURN: ClassVar[float] = 0.3  # weights of points start from 0 and 6, and have further to go than directions

    points: int = 1024
    relaxation: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 1 or self.relaxation < 0:
            raise InputError(
                f"ArchetypalSAE: points={self.points} must be at least 1, relaxation={self.relaxation} at least 0."
            )

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        length = sample.norm(dim=1)
        count = min(max(self.points, self.concepts), int((length > 0).sum()))
        drawn = sample[torch.multinomial(length, count, generator=generator)]
        points = drawn / sample.shape[1] ** 0.5
        return ArchetypalNetwork(points, self.concepts, generator, self.k_in_use, self.relaxation)
