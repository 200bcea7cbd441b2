"""Each dimension of a layer as a concept: what a learnt dictionary is to be better than."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace


@dataclass(frozen=True)
class Neurons:
    """Neurons: each dimension of the layer as a concept, whose codes are the activations themselves.

    Nothing is learnt, there are no parameters, and reconstructions are exact. Codes are in the units of the activations
    and of either sign, unless the activations are non-negative. It is the baseline that a learnt dictionary has to be
    more readable than. The identity takes d² numbers (67 MB for d = 4,096).

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> rows = torch.tensor([[2.0, -0.5, 0.0]])
        >>> space = interp.fit_concepts(of_rows(rows), by="neurons")
        >>> space.names, space.encode(rows)
        (['neuron 0', 'neuron 1', 'neuron 2'], tensor([[ 2.0000, -0.5000,  0.0000]]))

    Source:
        By definition; the axes that Bau et al. 2017, arXiv:1704.05796, section 3.2, compare with random rotations.
    """

    def fit(self, activations: Activations) -> AffineSpace:
        """Make the space of the neurons.

        Returns:
            The identity of the width of the activations.
        """
        identity = torch.eye(activations.width)
        space = AffineSpace(identity, identity)
        space.names = [f"neuron {i}" for i in range(activations.width)]
        return space
