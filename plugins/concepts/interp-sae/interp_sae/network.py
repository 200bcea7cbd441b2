"""The network that is trained, and the places where variants differ."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from interp_sae.input_scaling import InputScaling
from interp_sae.selection import topk
from interp_sae.space import SAESpace
from interp_sae.sparse import decode, kept_in, read


class ForwardPass(NamedTuple):
    """What a network computes of one batch.

    Attributes:
        pre_activations: (b, c), what the encoder reads, before the activation function.
        codes: (b, c), after it.
        reconstruction: (b, d), of the scaled rows.
    """

    pre_activations: Float[Tensor, "b c"]
    codes: Float[Tensor, "b c"]
    reconstruction: Float[Tensor, "b d"]


class Network(nn.Module):
    """A ReLU autoencoder of scaled rows (see `InputScaling`), and the base of all variants.

    A variant overrides what it changes:

    - `activate`: its activation function;
    - `penalty`: what its loss adds to the squared error, before `TrainingConfig.penalty_weight`;
    - `reconstruction_loss`: where it is not the plain squared error;
    - `update_activity`: statistics of codes that it gathers while training, such as a threshold;
    - `space`: where the trained network is not read by a ReLU;
    - `atoms`, `project` and `constrain`: where the dictionary is not a parameter with rows of length 1.

    State of its own goes into parameters, which are trained, or buffers, which are not; checkpoints hold both.

    Args:
        concepts: number of directions c.
        width: of a row, d.
        generator: of the initial directions.

    Attributes:
        dictionary: (c, d) parameter, rows of length 1: what one unit of each concept adds.
        encoder: (c, d) parameter: the direction along which each concept is read; at first the dictionary times
            `INITIAL_GAIN`.
        bias: (c) parameter, of the encoder.
        mean: (d) parameter, subtracted from rows before reading and added back after.
        steps_since_active: (c) buffer: for how many steps no row has activated each concept.
    """

    INITIAL_GAIN: ClassVar[float] = 1.0
    KEEPS_OR_DROPS: ClassVar[bool] = False
    """Whether each code is what the encoder reads, or 0, and few are not: then products with zeros are left out."""

    steps_since_active: Tensor

    def __init__(self, concepts: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        start = normalize(torch.randn(concepts, width, generator=generator), dim=1)
        self.dictionary = nn.Parameter(start)
        self.encoder = nn.Parameter(self.INITIAL_GAIN * start)
        self.bias = nn.Parameter(torch.zeros(concepts))
        self.mean = nn.Parameter(torch.zeros(width))
        self.register_buffer("steps_since_active", torch.zeros(concepts, dtype=torch.long))

    def atoms(self) -> Float[Tensor, "c d"]:
        """What one unit of each concept adds."""
        return self.dictionary

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """The activation function: codes of a batch during training."""
        return pre_activations.relu()

    def forward(self, rows: Float[Tensor, "b d"]) -> ForwardPass:
        """Encodes and reconstructs scaled rows."""
        if self.KEEPS_OR_DROPS and rows.device.type == "cpu":
            output = self._sparse(rows)
            if output is not None:
                return output
        pre_activations = (rows - self.mean) @ self.encoder.T + self.bias
        codes = self.activate(pre_activations)
        return ForwardPass(pre_activations, codes, self.decode(codes))

    def _sparse(self, rows: Float[Tensor, "b d"]) -> ForwardPass | None:
        """The same, with the codes that are not zero alone; None where they are too many for that to be faster."""
        centred = rows - self.mean
        with torch.no_grad():
            pre_activations = torch.addmm(self.bias, centred, self.encoder.T).float()
            codes = self.activate(pre_activations)
        kept = kept_in(codes)
        if kept is None:
            return None
        values = read(centred, self.encoder, self.bias, kept)
        codes = torch.zeros_like(codes).index_put((kept.rows, kept.concepts), values)
        return ForwardPass(pre_activations, codes, decode(values, kept, self.atoms().float()) + self.mean)

    def decode(self, codes: Float[Tensor, "b c"]) -> Float[Tensor, "b d"]:
        """Scaled rows made of these codes."""
        return (codes @ self.atoms()).float() + self.mean

    def reconstruction_loss(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The mean squared error of a coordinate; about 1 where nothing is explained."""
        return (rows - output.reconstruction).square().mean()

    def penalty(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """What keeps codes few; 0 where the activation function does."""
        return rows.new_zeros(())

    def auxiliary_loss(
        self, rows: Float[Tensor, "b d"], output: ForwardPass, dead: Int[Tensor, " e"]
    ) -> Float[Tensor, ""]:
        """The share of the residual that dead concepts leave unexplained: 1 if they explain nothing of it.

        Source:
            Gao et al. 2024, arXiv:2406.04093, appendix A.2 (AuxK), with width / 2 codes. What dead concepts read is not
            clipped at 0: through a ReLU that is never open they would have no gradient.
        """
        residual = (rows - output.reconstruction).detach()
        of_dead = output.pre_activations[:, dead]
        if self.KEEPS_OR_DROPS and not of_dead.requires_grad:  # their codes are all 0, so without slopes
            of_dead = (rows - self.mean) @ self.encoder[dead].T + self.bias[dead]
        codes = topk(of_dead.float(), max(1, rows.shape[1] // 2))
        missed = (residual - codes @ self.atoms()[dead].float()).square().mean()
        return missed / residual.square().mean().clamp(min=1e-12)

    def update_activity(self, output: ForwardPass) -> None:
        """Counts the steps since each concept was last active."""
        active = output.codes.detach().amax(0) > 0
        self.steps_since_active.copy_(torch.where(active, 0, self.steps_since_active + 1))

    @torch.no_grad()
    def resample(
        self, rows: Float[Tensor, "b d"], output: ForwardPass, dead: Int[Tensor, " e"]
    ) -> Int[Tensor, " resampled"]:
        """Points dead concepts to the rows that are reconstructed worst.

        Returns:
            The concepts that were resampled: all of the dead ones, or as many as the batch has rows.
        """
        worst = (rows - output.reconstruction).square().sum(1).topk(min(len(dead), len(rows))).indices
        resampled, length = dead[: len(worst)], self.encoder.norm(dim=1).mean()
        start = normalize((rows - self.mean)[worst], dim=1)
        self.dictionary[resampled], self.encoder[resampled] = start, 0.2 * length * start
        self.bias[resampled], self.steps_since_active[resampled] = 0.0, 0
        return resampled

    def project(self) -> None:
        """Removes from the gradient of each direction the part that would only change its length."""
        gradient, rows = self.dictionary.grad, self.dictionary.detach()
        if gradient is not None:
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows

    @torch.no_grad()
    def constrain(self) -> None:
        """Scales directions back to length 1."""
        self.dictionary.copy_(normalize(self.dictionary, dim=1))

    def space(self, scaling: InputScaling) -> ConceptSpace:
        """The trained autoencoder for activations in their own units."""
        return self.space_of(scaling, self.encoder, self.bias)

    def space_of(
        self,
        scaling: InputScaling,
        encoder: Float[Tensor, "c d"],
        bias: Float[Tensor, " c"],
        *,
        threshold: Tensor | float = 0.0,
        k: int | None = None,
    ) -> SAESpace:
        """The space of this dictionary and an encoder, a bias and a threshold that are in the units of training.

        Args:
            scaling: which is undone.
            encoder: (c, d).
            bias: (c).
            threshold: (c), or one number for all concepts.
            k: codes of a row that are kept, or None for all.
        """
        mean = scaling.centre + self.mean / scaling.scale
        level = (threshold / scaling.scale).expand(len(bias))
        return SAESpace(self.atoms(), encoder, bias / scaling.scale, mean, level, k=k)
