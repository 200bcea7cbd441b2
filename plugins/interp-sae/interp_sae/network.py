"""What is trained: weights, and the places where variants differ."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from interp_sae.frame import Frame
from interp_sae.selection import largest
from interp_sae.space import SAESpace


class Pass(NamedTuple):
    """One batch on its way through.

    Attributes:
        read: (b, c), before the activation function.
        codes: (b, c), after it.
        back: (b, d), the reconstruction.
    """

    read: Float[Tensor, "b c"]
    codes: Float[Tensor, "b c"]
    back: Float[Tensor, "b d"]


class Network(nn.Module):
    """A ReLU autoencoder in the units of a frame, and what variants change of it.

    A variant overrides `activate` (codes of what was read), `penalty` (its loss beside the squared error), `error`
    where that differs, and `space` where what is learnt is not read by a ReLU. State of its own goes into parameters,
    which are trained, or buffers, which are not; both are part of checkpoints.

    Args:
        concepts: how many.
        width: of a row.
        generator: of the directions to start from.
    """

    directions: ClassVar[tuple[str, ...]] = ("dictionary", "encoder")  # parameters whose rows have a length near 1
    idle: Tensor

    def __init__(self, concepts: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        start = normalize(torch.randn(concepts, width, generator=generator), dim=1)
        self.dictionary = nn.Parameter(start)
        self.encoder = nn.Parameter(start.clone())
        self.bias = nn.Parameter(torch.zeros(concepts))
        self.mean = nn.Parameter(torch.zeros(width))
        self.register_buffer("idle", torch.zeros(concepts, dtype=torch.long))  # steps since each code was last above 0

    def atoms(self) -> Float[Tensor, "c d"]:
        """What one unit of each concept adds."""
        return self.dictionary

    def activate(self, read: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Codes of what was read, while training."""
        return read.relu()

    def forward(self, rows: Float[Tensor, "b d"]) -> Pass:
        """From rows to their reconstruction."""
        read = (rows - self.mean) @ self.encoder.T + self.bias
        codes = self.activate(read)
        return Pass(read, codes, self.back(codes))

    def back(self, codes: Float[Tensor, "b c"]) -> Float[Tensor, "b d"]:
        """Rows made of these codes."""
        return (codes @ self.atoms()).float() + self.mean

    def error(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        """What is to be small: the squared error of a coordinate; about 1 for a row that nothing explains."""
        return (rows - passed.back).square().mean()

    def penalty(self, rows: Float[Tensor, "b d"], passed: Pass) -> Float[Tensor, ""]:
        """What keeps codes few; nothing where the activation function does."""
        return rows.new_zeros(())

    def revival(self, rows: Float[Tensor, "b d"], passed: Pass, dead: Int[Tensor, " e"]) -> Float[Tensor, ""]:
        """How badly dead concepts explain what the others leave over: 1 when not at all.

        Source: Gao et al. 2024, arXiv:2406.04093, appendix A.2 (AuxK), with width / 2 codes. What dead concepts read is
        not clipped at 0: of a ReLU that is never open no slope would come back.
        """
        left = (rows - passed.back).detach()
        codes = largest(passed.read[:, dead].float(), max(1, rows.shape[1] // 2))
        return (left - codes @ self.atoms()[dead].float()).square().mean() / left.square().mean().clamp(min=1e-12)

    def watch(self, passed: Pass) -> None:
        """Count the steps since each concept was active."""
        lit = (passed.codes > 0).any(0)
        self.idle.copy_(torch.where(lit, 0, self.idle + 1))

    @torch.no_grad()
    def restart(self, rows: Float[Tensor, "b d"], passed: Pass, dead: Int[Tensor, " e"]) -> Int[Tensor, " e"]:
        """Turn dead concepts to the rows that are explained worst; gives those that were turned."""
        worst = (rows - passed.back).square().sum(1).topk(min(len(dead), len(rows))).indices
        turned, size = dead[: len(worst)], self.encoder.norm(dim=1).mean()
        start = normalize((rows - self.mean)[worst], dim=1)
        self.dictionary[turned], self.encoder[turned] = start, 0.2 * size * start
        self.bias[turned], self.idle[turned] = 0.0, 0
        return turned

    def project(self) -> None:
        """Take from the slope of each direction what would only change its length."""
        slope, rows = self.dictionary.grad, self.dictionary.detach()
        if slope is not None:
            slope -= (slope * rows).sum(1, keepdim=True) * rows

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring directions back to length 1."""
        self.dictionary.copy_(normalize(self.dictionary, dim=1))

    def space(self, frame: Frame) -> ConceptSpace:
        """What was learnt, for activations in their own units."""
        return self.read_by(frame, self.encoder, self.bias)

    def read_by(
        self, frame: Frame, encoder: Tensor, bias: Tensor, threshold: Tensor | float = 0.0, active: int | None = None
    ) -> SAESpace:
        """The space of an encoder, a bias and a threshold that are in the units of the frame."""
        mean = frame.centre + self.mean / frame.scale
        level = (threshold / frame.scale).expand(len(bias))
        return SAESpace(self.atoms(), encoder, bias / frame.scale, mean, level, active)
