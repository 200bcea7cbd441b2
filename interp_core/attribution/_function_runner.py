"""Runners, which compute the scores of a question: the protocol `Runner`, and one for any differentiable function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from interp_core.attribution._removal import removed
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Runner(Protocol):
    """Protocol of what computes the scores of a question.

    A `Question` adds the budget and remembers the variants that were evaluated.

    Examples:
        >>> from interp_core.attribution import FunctionRunner, ModelRunner, Runner
        >>> issubclass(FunctionRunner, Runner), issubclass(ModelRunner, Runner)
        (True, True)
    """

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        """Score p variants of the features; differentiable if `x` requires a gradient."""
        ...

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """Score p variants in which the units that are not kept are removed."""
        ...

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """Yield the gradients of all scores with respect to the features, one variant at a time."""
        ...

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """Give the model's own decision for p variants, see `Question.decides`."""
        ...

    def moved(self, x: Float[Tensor, "f d"]) -> Runner:
        """Make a runner for other features, with the same baseline."""
        ...


class FunctionRunner:
    """A runner for any differentiable function of features, without a model.

    Its decision is the target with the largest score; with a single target, 1 if its score is above 0, else 0.

    Args:
        function: a differentiable function from features (p, f, d) to scores (p, k).
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
        """Score p variants of the features; differentiable if `x` requires a gradient."""
        self.rows += len(x)
        return self.function(x)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        """Score p variants in which the units that are not kept are removed."""
        return self.at(removed(keep, self.x, self.baseline, self.unit_of))

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """Give the decision for p variants: the target with the largest score, see the class."""
        scores = self.masked(keep)
        chosen = scores.argmax(1, keepdim=True) if scores.shape[1] > 1 else scores > 0
        return chosen.long().expand_as(scores)

    def moved(self, x: Float[Tensor, "f d"]) -> FunctionRunner:
        """Make a runner for other features, with the same baseline."""
        return FunctionRunner(self.function, x, self.baseline, self.unit_of)

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """Yield the gradients of all scores with respect to the features, one variant at a time."""
        for row in x:
            leaf = row.detach().clone().requires_grad_()
            scores = self.at(leaf[None])[0]
            yield torch.stack([torch.autograd.grad(s, leaf, retain_graph=True)[0] for s in scores])
