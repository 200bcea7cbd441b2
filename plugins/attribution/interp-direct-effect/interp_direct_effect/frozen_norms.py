"""Norms as the linear maps that they are once their scale is held at its value in a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.model import calling_here
from torch import Tensor, nn

_NORM = re.compile(r"Norm", re.IGNORECASE)


@dataclass(frozen=True)
class Affine:
    """A norm as `weight * (x - centred * mean(x)) * scale + bias`, where only the scale depends on the states.

    Attributes:
        weight: (d), by a factor that all of them share.
        bias: (d), what it gives for 0.
        centred: whether the mean over the width is taken off.
    """

    weight: Tensor
    bias: Tensor
    centred: bool

    def unscaled(self, x: Tensor) -> Tensor:
        """The map without its scale and bias, in 32 bits."""
        x = x.float()
        return self.weight * (x - x.mean(-1, keepdim=True) if self.centred else x)

    def scale(self, x: Tensor, y: Tensor) -> Tensor | None:
        """The scale (…, 1) with which states x give y; None where no scale does."""
        raw, given = self.unscaled(x), y.float() - self.bias
        scale = (raw * given).sum(-1, keepdim=True) / raw.square().sum(-1, keepdim=True).clamp(min=1e-30)
        apart = (raw * scale - given).abs().max()
        return scale if float(apart) <= max(1e-3, 8 * torch.finfo(y.dtype).eps) * float(given.abs().max()) else None


@dataclass
class FrozenNorms:
    """The scales of norms, noted in one pass and used in the passes after `hold`.

    Attributes:
        scales: of each norm and number of its call in a pass.
        held: whether the scales that were noted are used.
    """

    scales: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    held: bool = False
    _maps: dict[str, Affine | None] = field(default_factory=dict)
    _calls: Counter[str] = field(default_factory=Counter)

    def hold(self) -> None:
        """From now on norms scale as they did in the pass before."""
        self.held = True

    def start(self) -> None:
        """A pass begins."""
        self._calls.clear()

    def replaced(self, path: str, module: nn.Module, x: Any, y: Any) -> Any:
        """What a norm gives with its scale held, with the gradient of that."""
        key = path, self._calls[path]
        self._calls[path] += 1
        if not isinstance(x, Tensor) or not isinstance(y, Tensor) or x.shape != y.shape:
            return y
        with torch.no_grad():
            if path not in self._maps:
                self._maps[path] = affine_of(module, x)
            norm = self._maps[path]
            known = self.scales.get(key) if self.held else None
            scale = known if known is not None or norm is None else norm.scale(x, y)
        if norm is None or scale is None or scale.shape[:-1] != x.shape[:-1]:
            return y
        held = norm.unscaled(x) * scale + norm.bias
        if self.held:
            return held.to(y.dtype)
        self.scales[key] = scale
        return y.detach() + (held - held.detach()).to(y.dtype)


def affine_of(module: nn.Module, like: Tensor) -> Affine | None:
    """A norm with its scale apart, found by what it gives for 0, for signs that alternate and for these and 1.

    Args:
        module: the norm.
        like: (…, d) states as it is given.

    Returns:
        The map; None for a module that does not take or give such states.
    """
    d = like.shape[-1]
    signs = like.new_ones(*[1] * (like.ndim - 1), d)
    signs[..., 1::2] = -1
    try:
        none, some, moved = (module.forward(x) for x in (torch.zeros_like(signs), signs, signs + 1))
    except (RuntimeError, TypeError, ValueError):
        return None
    if not all(isinstance(y, Tensor) and y.shape == signs.shape for y in (none, some, moved)):
        return None
    none, some, moved = (y.float().flatten() for y in (none, some, moved))
    change = some - none
    centred = bool((moved - some).abs().max() <= 0.01 * change.abs().max())
    given = signs.float().flatten()
    return Affine(change / (given - given.mean() if centred else given), none, centred)


@contextmanager
def frozen_norms(model: nn.Module) -> Iterator[FrozenNorms]:
    """A context in which gradients pass norms as if their scale were a constant; nothing else changes, and nothing for
    other threads.

    Args:
        model: the model.

    Yields:
        The norms; after `hold` their scales are those of the pass before.
    """
    norms, meant = FrozenNorms(), calling_here()
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(lambda *_: norms.start() if meant() else None).remove)
        for path, module in model.named_modules():
            if _NORM.search(type(module).__name__) and not next(module.children(), None):
                hook = module.register_forward_hook(
                    lambda m, args, kwargs, y, path=path: (
                        norms.replaced(path, m, args[0] if args else kwargs.get("hidden_states"), y)
                        if meant()
                        else None
                    ),
                    with_kwargs=True,
                )
                stack.callback(hook.remove)
        yield norms
