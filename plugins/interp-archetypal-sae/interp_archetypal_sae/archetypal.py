"""The archetypal sparse autoencoder: each concept is a mixture of rows of the data, give or take a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import CountedAutoencoder
from interp_sae.frame import Frame
from interp_sae.network import Network
from interp_sae.selection import largest
from interp_sae.space import SAESpace
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

SURE = 6.0  # the first logit of the point that a concept starts from


class ArchetypalNetwork(Network):
    """A top-k autoencoder whose dictionary is mixtures of points, plus a slack of bounded length.

    Args:
        points: (m, d) rows of the data, divided by sqrt(d) so that they have length 1 on average.
        concepts: how many mixtures.
        generator: of the points that they start from.
        active: how many codes of a row are kept.
        relaxation: the longest slack.
    """

    directions: ClassVar[tuple[str, ...]] = ("encoder", "slack")
    points: Tensor

    def __init__(
        self,
        points: Float[Tensor, "m d"],
        concepts: int,
        generator: torch.Generator,
        active: int,
        relaxation: float,
    ) -> None:
        super().__init__(concepts, points.shape[1], generator)
        self.active, self.relaxation = active, relaxation
        del self.dictionary, self.mean
        self.register_buffer("mean", torch.zeros(points.shape[1]))  # the centre of the frame stays where it is
        self.register_buffer("points", points)
        start = torch.arange(concepts) % len(points)
        logits = torch.zeros(concepts, len(points))
        self.logits = nn.Parameter(logits.index_put_((torch.arange(concepts), start), torch.tensor(SURE)))
        self.slack = nn.Parameter(torch.zeros(concepts, points.shape[1]))
        self.encoder = nn.Parameter(normalize(self.atoms().detach(), dim=1))

    def atoms(self) -> Float[Tensor, "c d"]:
        """Mixtures of the points, and the slack."""
        return self.logits.softmax(1) @ self.points + self.slack

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return largest(read.relu(), self.active)

    def project(self) -> None:
        """Lengths are free."""

    @torch.no_grad()
    def constrain(self) -> None:
        """Shorten slack that is too long."""
        length = self.slack.norm(dim=1, keepdim=True).clamp(min=1e-12)
        self.slack.mul_((self.relaxation / length).clamp(max=1.0))

    def space(self, frame: Frame) -> ConceptSpace:
        """A code of 1 is the archetype itself."""
        unit = self.points.shape[1] ** 0.5
        dictionary = self.atoms() * unit / frame.scale
        encoder, bias = self.encoder * frame.scale / unit, self.bias / unit
        return SAESpace(dictionary, encoder, bias, frame.centre, active=self.active)


@dataclass(frozen=True)
class ArchetypalSAE(CountedAutoencoder):
    """Learns concepts that are mixtures of rows of the data, of which so many come close to a row.

    A concept cannot leave the convex hull of the points by more than `relaxation`, so that it looks like data, and is
    nearly the same when it is learnt again. A code of 1 adds the whole archetype: codes of different concepts are in
    different units. Directions are measured from the geometric median of the rows.

    Args:
        concepts: how many directions.
        steps: batches that are learnt from; as many passes over the activations as that takes.
        batch_size: rows of a batch.
        learning_rate: how far a direction may turn in a step, about, in radians.
        warm_up: share of the steps over which the learning rate rises from 0.
        decay: share of the steps over which it falls to 0 in the end.
        revival: weight of the loss by which dead concepts learn what the others leave over; 0 lets them be dead.
        patience: a concept is dead when no row of so many steps has it.
        seed: of the directions to start from, and the order of the rows.
        device: where to compute; the space is always on the CPU.
        dtype: of matrix products while training: float32 or bfloat16. Weights and the space are float32.
        checkpoint: folder that the state of the training is kept in, and from which it goes on.
        save_every: steps between checkpoints.
        active: how many concepts a row holds, at most; the square root of `concepts`, rounded, if None.
        points: how many rows are mixed, drawn by their distance from the median; as many as concepts if that is more,
            and no more than there are rows.
        relaxation: how far a concept may be from every mixture, in lengths of a mean row; 0 for none.

    Source: Fel et al. 2025, arXiv:2502.12892, equation 5 (A-SAE, and RA-SAE with a relaxation). Departs from it in that
    points are drawn, not centres of clusters, and in that mixtures are by a softmax, not by clipping and rescaling.
    """

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
        return ArchetypalNetwork(points, self.concepts, generator, self.held, self.relaxation)
