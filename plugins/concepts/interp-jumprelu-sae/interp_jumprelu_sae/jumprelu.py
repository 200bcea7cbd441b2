"""The JumpReLU sparse autoencoder: a threshold for each concept, learnt through straight-through estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor, nn


def initial_threshold(concepts: int) -> float:
    """The threshold above which a normal row lights one concept on average, that of 4 for fewer concepts."""
    return float(torch.special.ndtri(torch.tensor(1 - 1 / max(4, concepts))))


def heaviside(
    pre_activations: Float[Tensor, "b c"], threshold: Float[Tensor, " c"], bandwidth: float
) -> Float[Tensor, "b c"]:
    """1 where the pre-activation is above the threshold, else 0; the gradient in the threshold is an estimate.

    Source: Rajamanoharan et al. 2024, equation 12, with a rectangular kernel.
    """
    near = ((pre_activations - threshold).abs() < bandwidth / 2).to(threshold) / bandwidth
    return (pre_activations > threshold).to(threshold) - near * (threshold - threshold.detach())


def jumprelu(
    pre_activations: Float[Tensor, "b c"], threshold: Float[Tensor, " c"], bandwidth: float
) -> Float[Tensor, "b c"]:
    """The pre-activation where it is above the threshold, else 0; the gradient in the threshold is an estimate.

    Source: Rajamanoharan et al. 2024, equation 11, with a rectangular kernel.
    """
    near = ((pre_activations - threshold).abs() < bandwidth / 2).to(threshold) / bandwidth
    kept = pre_activations * (pre_activations > threshold)
    return kept - threshold.detach() * near * (threshold - threshold.detach())


class JumpReLUNetwork(Network):
    """An autoencoder whose concepts are active above thresholds, with a penalty on their number (L0)."""

    def __init__(self, concepts: int, width: int, generator: torch.Generator, bandwidth: float | None) -> None:
        super().__init__(concepts, width, generator)
        threshold = initial_threshold(concepts)
        self.bandwidth = threshold if bandwidth is None else bandwidth
        self.log_threshold = nn.Parameter(torch.full((concepts,), math.log(threshold)))

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return jumprelu(pre_activations.float(), self.log_threshold.exp(), self.bandwidth)

    def penalty(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The number of active concepts of a row."""
        return heaviside(output.pre_activations.float(), self.log_threshold.exp(), self.bandwidth).sum(1).mean()

    def space(self, scaling: InputScaling) -> ConceptSpace:
        return self.space_of(scaling, self.encoder, self.bias, threshold=self.log_threshold.exp())


@dataclass(frozen=True)
class JumpReLUSAE(PenalisedAutoencoder):
    """Learns directions of length 1, each with a threshold, such that each row is close to a sum of few of them.

    The penalty counts active concepts instead of adding up their codes, so that it does not shrink them.

    Args:
        concepts: number of directions, at least 1.
        steps: number of training batches, at least 1; the activations are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: Adam's, above 0, for rows scaled so that a typical coordinate is 1; 0.03 / sqrt(width) if None.
        warmup: share of the steps, 0 to 1, over which the learning rate rises linearly from 0.
        decay: share of the steps, 0 to 1, over which the learning rate falls linearly to 0 at the end; `warmup` and
            `decay` together are at most 1.
        aux_coefficient: weight of the auxiliary loss, by which dead concepts learn to explain what the others miss; at
            least 0, which leaves them dead.
        patience: steps without an active row after which a concept counts as dead, at least 1.
        seed: of the initial directions and of the order of the rows.
        device: where to train, such as `cuda`; the space is always on the CPU.
        dtype: of matrix products during training, `float32` or `bfloat16`; weights and the space are float32.
        checkpoint: folder that keeps the state of the training; if it holds one, the training is resumed from there,
            with the same bits as if it had never stopped. None keeps no state.
        save_every: steps between checkpoints, at least 1.
        penalty: cost of one active concept, above 0, where a mean row that nothing explains costs 1.
        penalty_warmup: share of the steps, 0 to 1, over which the penalty rises linearly from 0.
        bandwidth: above 0; thresholds learn from pre-activations within half of it, in units in which a typical
            coordinate of a row is 1. As wide as thresholds are high at first if None: there a row lights one concept.

    Source: Rajamanoharan et al. 2024, arXiv:2407.14435, equations 9 to 12. Departs from it in the bandwidth and the
    initial threshold, for fewer and smaller batches, and in the auxiliary loss of Gao et al. 2024 for dead concepts.
    """

    TURN: ClassVar[float] = 0.03  # at a greater one thresholds rise before rare concepts are learnt, which then die

    penalty: float = 0.01
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise InputError(f"JumpReLUSAE: bandwidth={self.bandwidth} must be above 0; thresholds would not learn.")

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return JumpReLUNetwork(self.concepts, sample.shape[1], generator, self.bandwidth)
