"""How much each edge carries, by gradients at the text, along a path of inputs, or along a path of gates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from interp_core.attribution import Components, Question
from interp_core.errors import InputError
from interp_core.plugin import check_fields
from jaxtyping import Float
from torch import Tensor

from interp_edge_attribution.graph import graph_of
from interp_edge_attribution.questions import changes_of, edge_runner


@dataclass(frozen=True)
class EAP:
    """Edge attribution patching: the gradient at what a reader reads, times what a writer writes beyond its reference.

    The first-order estimate of what the score loses when the edge alone carries the reference.

    Source:
        Syed, Rager, Conmy 2023, arXiv:2310.10348, equation 2, with the sign turned: positive for an edge that raises
        the score.
    """

    def score(self, question: Question, _components: Components) -> Float[Tensor, "k e"]:
        """One row and one backward row a target."""
        return next(iter(question.gradients(question.x[None])))[..., 0]


@dataclass(frozen=True)
class EAPIG:
    """EAP with integrated gradients: the gradient is the mean along the way of the embeddings from reference to text.

    Args:
        steps: nodes of the integral, at least 1, one row each.

    Source:
        Hanna, Pezzelle, Belinkov 2024, arXiv:2403.17806, section 3 (EAP-IG inputs), with Gauss-Legendre nodes in place
        of a Riemann sum, and the sign turned as in `EAP`.
    """

    steps: int = 8

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; at least 1 is needed.")

    def score(self, _question: Question, components: Components) -> Float[Tensor, "k e"]:
        """One row a step, and one for what writers write."""
        graph = graph_of(components.batch_runner.model)
        runner = edge_runner(components, graph, changes_of(components, graph))
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        x = runner.x.repeat(self.steps, 1, 1)
        x[:, -1, 0] = torch.from_numpy((nodes + 1) / 2).to(x)
        slopes = torch.stack(list(runner.gradients(x)))[:, :, :-1, 0]  # (p, k, e)
        return torch.einsum("pke,p->ke", slopes, torch.from_numpy(weights / 2).to(slopes))
