"""Integrated gradients along a Gauss-Legendre path."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from interp_core.attribution import Question, missing_share
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

FIRST, MOST = 32, 1024  # nodes
ENOUGH = 0.01  # share of the explained difference that may be missing
HELPFUL = 0.75  # of what was missing with half of the nodes: with more than that left, more nodes help little,
UNSEEN = 0.5  # unless so much is missing that they may not have met where the score rises


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients: (input - baseline) times the mean gradient on the line between them, summed over the width.

    Positive scores speak for the target, negative ones against it, in the unit of the score. They add up to
    score(input) - score(baseline), as exactly as the integral is computed: Gauss-Legendre quadrature with n nodes is
    exact where the gradient along the line is a polynomial of degree 2 n - 1 or less. Works on embeddings, at any
    layer, on components and on concepts. The cost is one forward and one backward row for each node and target.

    Args:
        steps: nodes of the quadrature, at least 1. None takes as many as a text needs: 32 at first; while the scores
            miss more than 1 % of the difference the number is doubled, until `max_rows` or 1024 nodes are reached or
            doubling twice has not helped. A note says how many nodes were taken where it is more than 32.

    Raises:
        InputError: `steps` is below 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="integrated-gradients", targets="class 0")
        >>> found.scores.round(decimals=3)
        tensor([[ 3.,  0., -2.]])

    Source:
        Sundararajan, Taly, Yan 2017, arXiv:1703.01365, equation 1, with Gauss-Legendre nodes in place of a Riemann sum.
    """

    steps: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps is {self.steps}; at least 1 is needed, or None for as many as each text needs.")

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target.

        Returns:
            Signed scores. The sum over the width comes after the mean over nodes, so that they add up.
        """
        nodes = question.afford(FIRST) if self.steps is None else self.steps
        scores = integral(question, nodes)
        if room(question) < 2:  # the intact and the emptied text
            return scores
        missing, in_vain = missing_share(question, scores), 0
        if self.steps is not None:
            if missing > ENOUGH:
                question.note(
                    f"{nodes} nodes of the integral are too few; without `steps` as many are taken as needed."
                )
            return scores
        while missing > ENOUGH and in_vain < 2 and 2 * nodes <= min(MOST, room(question)):
            nodes *= 2
            other = integral(question, nodes)
            left = missing_share(question, other)
            found = left < UNSEEN or left == missing
            in_vain = in_vain + 1 if found and left > HELPFUL * missing else 0
            if left < missing:
                scores, missing = other, left
        if missing > ENOUGH or nodes > FIRST:
            question.note(used(nodes, missing, 2 * nodes > room(question)))
        return scores


def integral(question: Question, nodes: int) -> Float[Tensor, "k u"]:
    """The scores of the units, by so many nodes."""
    shift = question.x - question.baseline  # (f, d)
    share, weight = gauss_legendre(nodes)
    path = question.baseline + share[:, None, None].to(shift) * shift  # (p, f, d)
    slope: Tensor | float = 0.0
    for w, gradient in zip(weight.tolist(), question.gradients(path), strict=True):
        slope = slope + w * gradient  # (k, f, d)
    return question.pool((shift * slope).sum(dim=-1))


def room(question: Question) -> float:
    """How many rows the budget has left."""
    return math.inf if question.max_rows is None else question.max_rows - question.rows


def used(nodes: int, missing: float, short: bool) -> str:
    """How many nodes were taken at last, in a sentence."""
    if missing <= ENOUGH:
        return f"{nodes} nodes of the integral were taken, since fewer missed more than {ENOUGH:.0%} of the difference."
    why = "max_rows allows no more: raise it" if short else "more do not help: the gradient on the way is too uneven"
    return f"{nodes} nodes of the integral are too few; {why}."


def gauss_legendre(steps: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """Nodes and weights of the quadrature on [0, 1]; the weights add up to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
