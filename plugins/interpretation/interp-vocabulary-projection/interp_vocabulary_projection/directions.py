"""What one unit of the code of each concept adds to an activation."""

from __future__ import annotations

import torch
from interp_core.activations import Activations
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.model import pieces_of
from jaxtyping import Float
from torch import Tensor

ROWS, ENTRIES = 1024, 2**24  # rows that the mean code is of, and codes held at a time
PLAIN = (ConceptSpace.decode, AffineSpace.decode)  # codes times the dictionary


def directions_of(space: ConceptSpace, activations: Activations, seed: int) -> Float[Tensor, "c d"]:
    """The slope of `decode` by the code of each concept.

    For spaces that decode by a product with the dictionary it is the row of the dictionary. Elsewhere it is taken at
    the mean code of some rows.

    Args:
        space: the c concepts, of a whole space or chosen from one.
        activations: the corpus.
        seed: of the rows.
    """
    whole, chosen = space.whole, space.numbers
    if type(whole).decode in PLAIN:
        return whole.dictionary[chosen].float().cpu()
    rows = activations.sample(ROWS, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        mean = whole.encode(rows).float().mean(0)
    columns = []
    with torch.inference_mode(False), torch.enable_grad():
        for piece in pieces_of(whole.width, ENTRIES // whole.concepts):
            outputs = torch.arange(whole.width)[piece]
            codes = mean.clone().repeat(len(outputs), 1).requires_grad_()
            values = whole.decode(codes)[torch.arange(len(outputs)), outputs]  # each row gives one coordinate
            (slopes,) = torch.autograd.grad(values.sum(), codes)
            columns.append(slopes[:, chosen])
    return torch.cat(columns).T.float().cpu()
