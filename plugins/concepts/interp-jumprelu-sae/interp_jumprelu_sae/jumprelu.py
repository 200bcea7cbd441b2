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

    Source:
        Rajamanoharan et al. 2024, equation 12, with a rectangular kernel.
    """
    near = ((pre_activations - threshold).abs() < bandwidth / 2).to(threshold) / bandwidth
    return (pre_activations > threshold).to(threshold) - near * (threshold - threshold.detach())


def jumprelu(
    pre_activations: Float[Tensor, "b c"], threshold: Float[Tensor, " c"], bandwidth: float
) -> Float[Tensor, "b c"]:
    """The pre-activation where it is above the threshold, else 0; the gradient in the threshold is an estimate.

    Source:
        Rajamanoharan et al. 2024, equation 11, with a rectangular kernel.
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
    """JumpReLU sparse autoencoder: a learnt threshold for each concept, and a penalty on the number of active concepts.

    Directions have length 1. A code is the pre-activation where that is above the threshold of the concept, else 0. The
    L0 penalty counts active concepts in place of summing their codes, so that it does not shrink them. Codes are at
    least 0, in the units of the activations.

    Args:
        concepts: number of concepts, at least 1.
        steps: number of training batches, at least 1; the rows are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: learning rate of Adam, above 0, for rows scaled so that a typical coordinate is 1; None for 0.03
            / sqrt(width).
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
        penalty: cost of one active concept, above 0, where the squared error of a mean row that nothing explains costs
            1.
        penalty_warmup: share of the steps, 0 to 1, over which the penalty rises linearly from 0.
        bandwidth: width around a threshold, above 0, within which pre-activations teach it, in units in which a typical
            coordinate of a row is 1. None takes the initial height of the thresholds, at which a row activates one
            concept.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="jumprelu-sae", concepts=5, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Rajamanoharan et al. 2024, arXiv:2407.14435, equations 9 to 12. Departs from it in the bandwidth and the initial
        threshold, which suit fewer and smaller batches, and in the auxiliary loss of Gao et al. 2024 for dead concepts.
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
