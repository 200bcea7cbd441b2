"""What computes the scores of a question: the protocol `Runner`, and a runner for any differentiable function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from interp_core.attribution._removal import removed
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Runner(Protocol):
    """What computes the scores of a question. A `Question` adds the budget and the memory of what was evaluated.

    Examples:
        >>> from interp_core.attribution import FunctionRunner, ModelRunner, Runner
        >>> issubclass(FunctionRunner, Runner), issubclass(ModelRunner, Runner)
        (True, True)
    """

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """The scores of p variants of the features; differentiable if `x` requires a gradient."""
        ...

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """The scores of p variants in which the units that are not kept are removed."""
        ...

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """The gradients of all scores with respect to the features, one variant at a time."""
        ...

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """The model's own decision for p variants, see `Question.decides`."""
        ...

    def moved(self, x: Float[Tensor, "f d"]) -> Runner:
        """A runner for other features, with the same baseline."""
        ...


class FunctionRunner:
    """Computes the scores of a question about any differentiable function of features, without a model.

    It decides for the target with the largest score; with a single target, for 1 if its score is above 0, else 0.

    Args:
        function: maps features (p, f, d) to scores (p, k), differentiable.
        x: (f, d) the features.
        baseline: (f, d) what replaces an absent feature.
        unit_of: (f) the unit of each feature, -1 for a feature that is never removed.

    Attributes:
        rows: the number of variants evaluated, repeats included.

    Examples:
        >>> from interp_core.attribution import FunctionRunner
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> runner = FunctionRunner(lambda v: 10 * v.sum(1), x, torch.zeros(2, 1), torch.arange(2))
        >>> runner.masked(torch.tensor([[True, True], [True, False]]))
        tensor([[30.], [10.]])
        >>> runner.rows
        2
        >>> [gradient.shape for gradient in runner.gradients(x[None])]
        [torch.Size([1, 2, 1])]
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
