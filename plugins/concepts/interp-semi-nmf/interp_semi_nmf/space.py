"""The space of methods whose concepts are only ever added."""

from __future__ import annotations

import torch
from interp_core.concepts import ConceptSpace
from jaxtyping import Float
from torch import Tensor

from interp_semi_nmf.nnls import nnls

ROWS = 8192  # encoded at a time


class AdditiveSpace(ConceptSpace):
    """Concepts that are only added: a row is its codes, at least 0, times a dictionary of rows of length 1.

    The codes of a row are the exact solution of non-negative least squares for it alone. They are in the units of the
    activations: a code of 2 adds a step of length 2 along its direction, so that the codes of all concepts can be
    compared.
    """

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Codes, non-negative; differentiable where no code is about to become zero."""
        dictionary = self.dictionary.double()
        gram = dictionary @ dictionary.T
        return torch.cat([nnls(gram, part.double() @ dictionary.T).float() for part in values.split(ROWS)])
