"""The gated sparse autoencoder: which concepts are active is decided apart from how active they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from interp_core.concepts import ConceptSpace
from interp_sae.autoencoder import PenalisedAutoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import ForwardPass, Network
from jaxtyping import Float
from torch import Tensor, nn


class GatedNetwork(Network):
    """An autoencoder whose pre-activations open gates; a magnitude with a scale and a bias of its own passes them.

    Attributes:
        log_scale: (c) parameter, the logarithm of the magnitude's scale over the gate's (r_mag of the paper).
        size_bias: (c) parameter, bias of the magnitude (b_mag of the paper).
    """

    INITIAL_GAIN: ClassVar[float] = 0.3  # as for the L1 penalty

    def __init__(self, concepts: int, width: int, generator: torch.Generator) -> None:
        super().__init__(concepts, width, generator)
        self.log_scale = nn.Parameter(torch.zeros(concepts))
        self.size_bias = nn.Parameter(torch.zeros(concepts))

    def activate(self, pre_activations: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """The magnitude where the gate is open; no gradient passes through the gate."""
        magnitude = self.log_scale.exp() * (pre_activations - self.bias) + self.size_bias
        return magnitude.relu() * (pre_activations > 0)

    def reconstruction_loss(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The squared error of the codes, and that of the gates' pre-activations.

        Gates learn from the latter, which has no gradient in the dictionary and the mean.
        """
        by_gates = (output.pre_activations.relu() @ self.dictionary.detach()).float() + self.mean.detach()
        return super().reconstruction_loss(rows, output) + (rows - by_gates).square().mean()

    def penalty(self, rows: Float[Tensor, "b d"], output: ForwardPass) -> Float[Tensor, ""]:
        """The sum of the gates' positive pre-activations over the mean length of a row."""
        l1: Tensor = output.pre_activations.float().relu().sum(1).mean() / rows.shape[1] ** 0.5
        return l1

    def space(self, scaling: InputScaling) -> ConceptSpace:
        """A space with thresholds, since gate and magnitude are read along the same direction."""
        scale = self.log_scale.exp()
        threshold = self.size_bias - scale * self.bias
        return self.space_of(scaling, scale[:, None] * self.encoder, self.size_bias, threshold=threshold)


@dataclass(frozen=True)
class GatedSAE(PenalisedAutoencoder):
    """Gated sparse autoencoder: gates decide which concepts are active, apart from how active they are.

    Directions have length 1. The L1 penalty is on the pre-activations of the gates, not on the codes, so that it does
    not shrink them. Codes are at least 0, in the units of the activations.

    Args:
        concepts: number of concepts, at least 1.
        steps: number of training batches, at least 1; the rows are passed over as often as that takes.
        batch_size: rows of a batch, at least 1.
        learning_rate: learning rate of Adam, above 0, for rows scaled so that a typical coordinate is 1; None for 0.1 /
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
        penalty: weight of the L1 penalty on gates, above 0. It is the cost of a pre-activation as large as the mean
            length of a row, where the squared error of a mean row that nothing explains costs 1.
        penalty_warmup: share of the steps, 0 to 1, over which the penalty rises linearly from 0.

    Raises:
        InputError: a parameter is out of its range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import dictionary_world
        >>> activations, _ = dictionary_world()
        >>> space = interp.fit_concepts(activations, by="gated-sae", concepts=5, steps=100)
        >>> codes = space.encode(activations.matrix())
        >>> codes.shape, bool((codes >= 0).all()), space.history["explained variance"][-1] > 0.8
        (torch.Size([800, 5]), True, True)

    Source:
        Rajamanoharan et al. 2024, arXiv:2404.16014, equations 6 to 8, with weights tied as there. The learnt space has
        a threshold in place of each gate, which is equivalent (section 3.2 of the paper). Departs from it in the
        auxiliary loss of Gao et al. 2024 for dead concepts.
    """

    penalty: float = 0.3

    def network(self, sample: Float[Tensor, "m d"], generator: torch.Generator) -> Network:
        return GatedNetwork(self.concepts, sample.shape[1], generator)
