"""The rescale rule: while a question is asked, activations have the slope of the way from the baseline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from interp_core.attribution import Question
from interp_core.model import at_rest
from jaxtyping import Float
from torch import Tensor, nn

Sees = Callable[[nn.Module, Tensor, Tensor], Tensor | None]  # a module, what went in, what came out
NEAR = 1e-6  # closer to the baseline than this the slope of the way is all rounding, and the slope at the input is it


def rescaled(
    question: Question, activations: Sequence[nn.Module]
) -> tuple[Float[Tensor, "k f d"], Float[Tensor, " k"]]:
    """The multipliers of the features, and how far the scores are from those of the baseline.

    Two passes of one row, since batches may be smaller than two. Scores are asked for with their graph, which is
    computed on this thread and at once: the hooks see no other text.
    """
    known: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {module: [] for module in activations}

    def remember(module: nn.Module, given: Tensor, output: Tensor) -> None:
        known[module].append((given.detach(), output.detach()))

    def straighten(module: nn.Module, given: Tensor, output: Tensor) -> Tensor | None:
        old = known[module].pop(0) if known[module] else None
        if old is None or old[0].shape != given.shape:  # the baseline went another way; the sum will tell
            return None
        slope = slope_of_the_way(given, output, *old)
        return output.detach() + slope * (given - given.detach())  # the same number, with that slope

    with torch.inference_mode(False), torch.enable_grad():
        baseline, x = (v.detach().clone()[None].requires_grad_() for v in (question.baseline, question.x))
        with watched(activations, remember):
            start = question.at(baseline)[0].detach()
        with watched(activations, straighten):
            scores = question.at(x)[0]
        slopes = [torch.autograd.grad(score, x, retain_graph=True)[0][0] for score in scores]
    return torch.stack(slopes), scores.detach() - start


def slope_of_the_way(given: Tensor, output: Tensor, old_given: Tensor, old_output: Tensor) -> Tensor:
    """(output - old output) / (given - old given), coordinate by coordinate."""
    way = given.detach() - old_given
    near = way.abs() < NEAR
    (here,) = torch.autograd.grad(output.sum(), given)
    return torch.where(near, here, (output.detach() - old_output) / way.masked_fill(near, 1))


@contextmanager
def watched(modules: Sequence[nn.Module], see: Sees) -> Iterator[None]:
    """Within it each call of these modules from this thread, on something that depends on the features, is shown to
    `see`, which may exchange the output.
    """
    caller = threading.get_ident()
    entered: dict[nn.Module, Tensor] = {}

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if threading.get_ident() != caller or not inputs or not inputs[0].requires_grad:
            return None
        entered[module] = inputs[0]
        return (inputs[0].clone(), *inputs[1:])  # some write into what they are given

    def leave(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if threading.get_ident() != caller or module not in entered:
            return None
        return see(module, entered.pop(module), output)

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        yield


def activations_of(model: nn.Module, like: Tensor) -> list[nn.Module]:
    """The modules without weights whose output depends on their input coordinate by coordinate.

    Args:
        model: whose modules are tried.
        like: what they are tried on is of this number format and on this device.
    """
    with torch.no_grad(), at_rest(model):
        bare = [module for module in model.modules() if not any(True for _ in module.parameters())]
        return [module for module in bare if _elementwise(module, like)]


def _elementwise(module: nn.Module, like: Tensor) -> bool:
    """Whether it changes its input, and no coordinate with another."""
    draw = torch.Generator().manual_seed(0)
    x, other = torch.randn(4, 5, 6, generator=draw).to(like), torch.randn(4, 5, 6, generator=draw).to(like)
    fixed = (torch.rand(4, 5, 6, generator=draw) < 0.5).to(like.device)
    try:
        found, moved = (module.forward(v) for v in (x.clone(), torch.where(fixed, x, other)))
    except Exception:  # it takes something else than one tensor of any shape, or nothing
        return False
    if not isinstance(found, Tensor) or found.shape != x.shape:
        return False
    return torch.equal(found[fixed], moved[fixed]) and not torch.equal(found, x)
