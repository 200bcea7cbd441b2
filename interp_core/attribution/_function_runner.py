"""What computes the scores of a question; the one that needs no model is any differentiable function of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Runner(Protocol):
    """What computes the scores of a question."""

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]: ...

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]: ...

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]: ...

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]: ...

    def moved(self, x: Float[Tensor, "f d"]) -> Runner: ...


class FunctionRunner:
    """A question about any differentiable function of features, without a model: planted worlds and plain
    mathematics.
    """

    def __init__(
        self,
        function: Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p k"]],
        x: Float[Tensor, "f d"],
        baseline: Float[Tensor, "f d"],
        unit_of: Int[Tensor, " f"],
    ) -> None:
        self.function, self.x, self.baseline, self.unit_of = function, x, baseline, unit_of
        self.rows = 0

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        self.rows += len(x)
        return self.function(x)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        return self.at(removed(keep, self.x, self.baseline, self.unit_of))

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        scores = self.masked(keep)
        chosen = scores.argmax(1, keepdim=True) if scores.shape[1] > 1 else scores > 0
        return chosen.long().expand_as(scores)

    def moved(self, x: Float[Tensor, "f d"]) -> FunctionRunner:
        return FunctionRunner(self.function, x, self.baseline, self.unit_of)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        for row in x:
            leaf = row.detach().clone().requires_grad_()
            scores = self.at(leaf[None])[0]
            yield torch.stack([torch.autograd.grad(s, leaf, retain_graph=True)[0] for s in scores])


def removed(
    keep: Bool[Tensor, "p u"], x: Float[Tensor, "f d"], baseline: Float[Tensor, "f d"], unit_of: Int[Tensor, " f"]
) -> Float[Tensor, "p f d"]:
    """The features with those of the units not kept replaced by the baseline."""
    stays = torch.cat([keep, keep.new_ones(len(keep), 1)], dim=1)[
        :, unit_of.to(keep.device)
    ]  # -1 reads the added column
    return torch.where(stays[:, :, None].to(x.device), x, baseline)
