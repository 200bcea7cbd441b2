"""Questions about a function, without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from interp_core.attribution._function_runner import FunctionRunner
from interp_core.attribution._question import Question
from interp_core.attribution._question_checks import check_features
from interp_core.errors import InputError
from interp_core.model import Target
from interp_core.text import Unit
from jaxtyping import Float
from torch import Tensor


def ask(
    function: Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p k"]],
    x: Float[Tensor, "f d"],
    baseline: Float[Tensor, "f d"] | None = None,
    names: Sequence[str] | None = None,
) -> Question:
    """Build a question about a function instead of a model: each feature is a unit, each column of the scores a target.

    Args:
        function: a differentiable function from features (p, f, d) to scores (p, k).
        x: (f, d) the features.
        baseline: (f, d) what replaces an absent feature; zeros by default.
        names: the f names of the units; `x0`, `x1`, … by default.

    Returns:
        A question with u = f units, whose targets are called `y0`, `y1`, …

    Raises:
        InputError: there are no features, `names` does not have length f, or the function does not return scores
            (p, k).

    Examples:
        >>> from interp_core.attribution import ask
        >>> question = ask(lambda v: torch.stack([v.sum((1, 2)), v.prod(1).sum(1)], 1), torch.tensor([[2.0], [3.0]]))
        >>> [unit.text for unit in question.units], [target.label for target in question.targets]
        (['x0', 'x1'], ['y0', 'y1'])
        >>> question.intact()
        tensor([5., 6.])
        >>> next(question.gradients(question.x[None])).squeeze(-1)
        tensor([[1., 1.],
                [3., 2.]])
    """
    check_features("x", x, ("f", "d"))
    absent = torch.zeros_like(x) if baseline is None else baseline
    words = list(names) if names is not None else [f"x{i}" for i in range(len(x))]
    if len(words) != len(x):
        raise InputError(f"{len(words)} names were given for {len(x)} features; one for each was expected.")
    starts = [sum(len(w) + 1 for w in words[:i]) for i in range(len(words))]
    units = [Unit(word, start, start + len(word)) for word, start in zip(words, starts, strict=True)]
    owners = torch.arange(len(x))
    with torch.no_grad():
        scores = function(x[None])
    check_features("what the function gives for one variant", scores, (1, "k"), ": a row for each variant")
    targets = [Target(f"y{k}", k) for k in range(scores.shape[1])]
    runner = FunctionRunner(function, x, absent, owners)
    return Question(runner, x=x, baseline=absent, unit_of=owners, units=units, targets=targets, text=" ".join(words))
