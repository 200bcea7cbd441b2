"""Each dimension of a layer as a concept: what a learnt dictionary is to be better than."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace


@dataclass(frozen=True)
class Neurons:
    """Takes each dimension of the layer for a concept: codes are the activations, and give them back exactly.

    Codes are of any sign unless the layer's activations are not. Nothing is learnt, so there are no parameters. The
    identity takes d² numbers (67 MB for d = 4,096).

    Source: definition; the axes that Bau et al. 2017, arXiv:1704.05796, section 3.2, hold against random rotations.
    """

    def fit(self, activations: Activations) -> AffineSpace:
        """The identity of the width of the activations."""
        identity = torch.eye(activations.width)
        space = AffineSpace(identity, identity)
        space.names = [f"neuron {i}" for i in range(activations.width)]
        return space
